//! Folders of the user: of the settings, and of what the command can make again.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder of compiled kernels: the environment's `CROQUIS_PIPELINE_CACHE`, else in the user's folder for
/// caches. `None` where the variable is empty, or the user has no such folder.
pub fn pipelines() -> Option<PathBuf> {
    cached("CROQUIS_PIPELINE_CACHE", "pipelines", std::env::home_dir(), |name| {
        std::env::var_os(name)
    })
}

/// The folder of models' hashes: the environment's `CROQUIS_HASH_CACHE`, else as of [`pipelines`].
pub fn hashes() -> Option<PathBuf> {
    cached("CROQUIS_HASH_CACHE", "hashes", std::env::home_dir(), |name| std::env::var_os(name))
}

/// The folder that an environment variable names, else the one of this name in the user's folder for caches.
fn cached(
    moved: &str,
    name: &str,
    home: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    if let Some(folder) = variable(moved) {
        return Some(PathBuf::from(folder)).filter(|folder| !folder.as_os_str().is_empty());
    }
    let places = ["LOCALAPPDATA", "Library/Caches", "XDG_CACHE_HOME", ".cache"];
    Some(user_folder(places, home, variable)?.join(name))
}

/// The file of settings in the user's folder for configurations, whether it exists or not.
pub fn settings_file() -> Option<PathBuf> {
    let places = ["APPDATA", "Library/Application Support", "XDG_CONFIG_HOME", ".config"];
    let folder = user_folder(places, std::env::home_dir(), |name| std::env::var_os(name))?;
    Some(folder.join("croquis.toml"))
}

/// The folder `croquis` where the platform keeps such files: below Windows' variable, Apple's folder of the
/// home, or elsewhere the variable of the XDG Base Directory Specification or its default in the home.
fn user_folder(
    [windows, apple, xdg, xdg_default]: [&str; 4],
    home: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let set = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = if cfg!(windows) {
        set(windows)
    } else if cfg!(target_vendor = "apple") {
        home.map(|home| home.join(apple))
    } else {
        // The specification ignores relative paths.
        set(xdg).or_else(|| Some(home?.join(xdg_default)))
    };
    Some(folder?.join("croquis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_folder_of_pipelines_can_be_moved_and_switched_off() {
        let folder = |home: Option<&str>, set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            cached("CROQUIS_PIPELINE_CACHE", "pipelines", home.map(PathBuf::from), variable)
        };
        let path = |path: &str| Some(PathBuf::from(path));
        let xdg = ("XDG_CACHE_HOME", "/caches");
        assert_eq!(folder(Some("/me"), &[xdg]), path("/caches/croquis/pipelines"));
        assert_eq!(folder(Some("/me"), &[]), path("/me/.cache/croquis/pipelines"));
        assert_eq!(folder(None, &[("XDG_CACHE_HOME", "relative")]), None);
        let own = |value| ("CROQUIS_PIPELINE_CACHE", value);
        assert_eq!(folder(Some("/me"), &[xdg, own("here")]), path("here"));
        assert_eq!(folder(Some("/me"), &[xdg, own("")]), None);
    }
}
