//! Every environment variable of taipan's own, and those of the stores that it uses. Beside them it follows `XDG_CACHE_HOME`, `HOME`, `NO_COLOR` and its kin, and
//! `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.

/// The names; each has a field's comment for its documentation.
pub(crate) struct EnvVars;

impl EnvVars {
    /// Folder for downloaded Pyodide releases and compiled code. Default: `taipan` in the user's cache folder.
    pub(crate) const CACHE_DIR: &str = "TAIPAN_CACHE_DIR";
    /// A folder with an unpacked Pyodide release, or the URL of a mirror, to use instead of the npm package.
    pub(crate) const PYODIDE: &str = "TAIPAN_PYODIDE";
    /// A folder of wheels, or the URL of an index, as `--package-index`.
    pub(crate) const PACKAGE_INDEX: &str = "TAIPAN_PACKAGE_INDEX";
    /// The program uv, as `--uv`.
    pub(crate) const UV: &str = "TAIPAN_UV";
    /// Folders that a program may read, as `taipan python --allow-read`, separated by colons.
    pub(crate) const PYTHON_ALLOW_READ: &str = "TAIPAN_PYTHON_ALLOW_READ";
    /// How many isolates there may be at the same time, as `--max-isolates`.
    pub(crate) const MAX_ISOLATES: &str = "TAIPAN_MAX_ISOLATES";
    /// The access key of S3's clients of `taipan dev`. Default: `taipan`.
    pub(crate) const S3_ACCESS_KEY_ID: &str = "TAIPAN_S3_ACCESS_KEY_ID";
    /// Its secret. Default: what is in the file `s3-secret` of the state folder, which is made at random.
    pub(crate) const S3_SECRET_ACCESS_KEY: &str = "TAIPAN_S3_SECRET_ACCESS_KEY";
    /// The address of `taipan serve` for deployments, as `--server`.
    pub(crate) const SERVER: &str = "TAIPAN_SERVER";
    /// The token that `taipan serve` wants for them, as `--token`.
    pub(crate) const TOKEN: &str = "TAIPAN_TOKEN";
    /// The access key to the stores of `taipan.object_stores`, as other programs know it.
    pub(crate) const STORE_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
    /// Its secret.
    pub(crate) const STORE_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
    /// What goes with keys that are good for a while.
    pub(crate) const STORE_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
    /// Which log lines are shown, as `--log-level`.
    pub(crate) const LOG_LEVEL: &str = "TAIPAN_LOG_LEVEL";
}
