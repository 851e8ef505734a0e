//! [`HubOptions`]: the cache folder, the hub's address and the access token.

use crate::error::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// Options for the lookup of models: cache, hub address, token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubOptions {
    /// The cache folder, which contains `models--org--name`.
    pub cache: PathBuf,
    /// The hub's address, without a slash at its end.
    pub endpoint: String,
    /// The user's access token, for models that need one.
    pub token: Option<String>,
    /// Whether only the cache is used, without network requests.
    pub offline: bool,
    /// Whether f16 weights are preferred where a repository has both.
    pub half: bool,
}

impl HubOptions {
    /// The options from the environment variables that `huggingface_hub` reads:
    ///
    /// - the cache: `HF_HUB_CACHE`, else `HF_HOME`/hub, else `XDG_CACHE_HOME`/huggingface/hub, else
    ///   `~/.cache/huggingface/hub`;
    /// - the hub: `HF_ENDPOINT`, else `https://huggingface.co`;
    /// - the token: `HF_TOKEN`, else the file `HF_TOKEN_PATH`, else the file `token` in `HF_HOME`
    ///   or `~/.cache/huggingface`, where `hf auth login` leaves it;
    /// - no network: `HF_HUB_OFFLINE` of 1, on, yes or true.
    ///
    /// # Errors
    /// `Argument` if no variable determines the cache's folder.
    pub fn from_env() -> Result<Self> {
        let home = std::env::home_dir();
        let mut options = Self::from_variables(home, |name| std::env::var(name).ok())?;
        options.token = options.token.or_else(read_token);
        Ok(options)
    }

    fn from_variables(
        home: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let cache = set("HF_HUB_CACHE").map(PathBuf::from);
        let cache = cache.or_else(|| Some(hugging_face_home(home, set)?.join("hub")));
        let Some(cache) = cache else {
            let message = "the cache of models: expected one of HF_HUB_CACHE, HF_HOME, \
                           XDG_CACHE_HOME and HOME to be set, got none";
            return Err(Error::new(ErrorKind::Argument, message));
        };
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = set("HF_HUB_OFFLINE").is_some_and(|value| {
            ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str())
        });
        Ok(HubOptions {
            cache,
            endpoint: endpoint.trim_end_matches('/').into(),
            token: set("HF_TOKEN").map(|token| token.trim().into()),
            offline,
            half: false,
        })
    }
}

/// The folder with the cache and the token (`HF_HOME`).
fn hugging_face_home(
    home: Option<PathBuf>,
    set: impl Fn(&str) -> Option<String>,
) -> Option<PathBuf> {
    if let Some(folder) = set("HF_HOME") {
        return Some(folder.into());
    }
    let caches = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".cache")))?;
    Some(caches.join("huggingface"))
}

/// Reads the token file, if there is one.
fn read_token() -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let file = set("HF_TOKEN_PATH").map(PathBuf::from);
    let file =
        file.or_else(|| Some(hugging_face_home(std::env::home_dir(), set)?.join("token")))?;
    let text = String::from_utf8(crate::disk::read_small(&file).ok()?).ok()?;
    Some(text.trim().to_string()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(home: Option<&str>, set: &[(&str, &str)]) -> Result<HubOptions> {
        let variable = |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string())
        };
        HubOptions::from_variables(home.map(PathBuf::from), variable)
    }

    #[test]
    fn the_cache_is_where_the_environment_says() {
        let all = [("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b"), ("XDG_CACHE_HOME", "/c")];
        let expected = ["/a", "/b/hub", "/c/huggingface/hub", "/h/.cache/huggingface/hub"];
        for (from, expected) in expected.into_iter().enumerate() {
            let found = options(Some("/h"), &all[from..]).unwrap().cache;
            assert_eq!(found, PathBuf::from(expected));
        }
        let error = options(None, &[("HF_HOME", " ")]).unwrap_err();
        assert!(error.to_string().contains("HF_HUB_CACHE"), "{error}");
    }

    #[test]
    fn the_hub_is_where_the_environment_says() {
        let usual = options(Some("/h"), &[]).unwrap();
        assert_eq!(usual.endpoint, "https://huggingface.co");
        assert!(!usual.offline && usual.token.is_none());
        let set = [
            ("HF_ENDPOINT", "http://localhost:1/"),
            ("HF_TOKEN", " t\n"),
            ("HF_HUB_OFFLINE", "YES"),
        ];
        let own = options(Some("/h"), &set).unwrap();
        assert_eq!(
            (own.endpoint.as_str(), own.token.as_deref()),
            ("http://localhost:1", Some("t"))
        );
        assert!(own.offline);
        assert!(!options(Some("/h"), &[("HF_HUB_OFFLINE", "0")]).unwrap().offline);
    }
}
