//! The one test that needs the network: the real package through the real npm client.

use std::time::Instant;

use taipan_packages::pyodide::{Cache, RELEASES, Silent, Source, obtain};
use tempfile::TempDir;

#[test]
fn every_release_is_obtained_through_npm() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::new(Some(folder.path().to_owned())).unwrap();
    for release in RELEASES {
        let files = obtain(release, &cache, &Source::Npm, &Silent).unwrap();
        assert_eq!(fs_err::read_dir(&files).unwrap().count(), release.files.len());

        let start = Instant::now();
        assert_eq!(obtain(release, &cache, &Source::Npm, &Silent).unwrap(), files);
        println!("verifying {} again took {:?}", release.package(), start.elapsed());

        // The folder is what a user would name.
        let elsewhere = Cache::new(Some(folder.path().join("elsewhere"))).unwrap();
        assert_eq!(obtain(release, &elsewhere, &Source::Folder(files.clone()), &Silent).unwrap(), files);
    }
}
