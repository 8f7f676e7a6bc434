//! Wheels that stand for packages which the store has built, so that uv can resolve with them. They hold the description of a package
//! and no code.

use std::path::Path;

use flate2::Crc;
use fs_err as fs;

use super::{PackageError, StoredWheel};

/// Writes the wheel that stands for `built` into `folder`.
pub(super) fn write(built: &StoredWheel, folder: &Path) -> Result<(), PackageError> {
    let broken = || PackageError::Refused {
        package: built.name().to_owned(),
        reason: "it has no description".to_owned(),
    };
    let (path, _) =
        built.files().find(|(path, _)| path.ends_with(".dist-info/METADATA")).ok_or_else(broken)?;
    let place = built.place(path);
    let metadata = fs::read(&place).map_err(PackageError::io(&place))?;
    let stem = format!("{}-{}", built.name().replace('-', "_"), built.version());
    let wheel = b"Wheel-Version: 1.0\nGenerator: taipan\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec();
    let info = format!("{stem}.dist-info");
    let record = format!("{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n").into_bytes();
    let files = [("METADATA", metadata), ("WHEEL", wheel), ("RECORD", record)];
    let files = files.map(|(name, content)| (format!("{info}/{name}"), content));
    let place = folder.join(format!("{stem}-py3-none-any.whl"));
    let archive = archive(&files).ok_or_else(broken)?;
    fs::write(&place, archive).map_err(PackageError::io(&place))
}

/// A zip archive of uncompressed files; `None` when they are too large for one.
fn archive(files: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    const VERSION: u16 = 20;
    /// The first day of 1980.
    const DATE: u16 = 0x21;
    let mut out = vec![];
    let mut directory = vec![];
    for (name, content) in files {
        let mut crc = Crc::new();
        crc.update(content);
        let size = u32::try_from(content.len()).ok()?;
        let offset = u32::try_from(out.len()).ok()?;
        // What both headers have in common, from the version that is needed to the length of the extra field.
        let mut common = vec![];
        for number in [VERSION, 0, 0, 0, DATE] {
            common.extend(number.to_le_bytes());
        }
        for number in [crc.sum(), size, size] {
            common.extend(number.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).ok()?.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(content);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&common);
        // No comment, first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).ok()?;
    let offset = u32::try_from(out.len()).ok()?;
    let size = u32::try_from(directory.len()).ok()?;
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    Some(out)
}
