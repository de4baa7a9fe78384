//! What the environment says about the Hub. The variables are those of the Hub's own tools; they are read
//! here and nowhere else, so that no version of a library changes where files lie.

use std::path::PathBuf;

use super::reference::ENDPOINT;
use crate::error::{Error, Result};
use crate::regular;

/// Where to ask, as whom, and where to keep the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Address of the Hub without a slash at the end: `HF_ENDPOINT`.
    pub(super) endpoint: String,
    /// Folder of the downloads: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or in `~/.cache/huggingface`.
    pub(super) cache: PathBuf,
    /// `HF_TOKEN`, or what `hf auth login` left in `HF_HOME`.
    pub(super) token: Option<String>,
    /// Nothing is asked of the network: `HF_HUB_OFFLINE`.
    pub(super) offline: bool,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// If no variable says where the cache is and there is no home folder.
    pub(super) fn from_environment() -> Result<Self> {
        Self::read(|name| std::env::var(name).ok(), std::env::home_dir())
    }

    /// Reads them with `variable`; an empty one counts as none.
    fn read(variable: impl Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Result<Self> {
        let given = |name: &str| {
            let value = variable(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        let cached = given("XDG_CACHE_HOME").map(PathBuf::from);
        let cached = cached.or_else(|| home.map(|home| home.join(".cache")));
        let root = given("HF_HOME").map(PathBuf::from);
        let root = root.or_else(|| cached.map(|cached| cached.join("huggingface")));
        let token_file = given("HF_TOKEN_PATH").map(PathBuf::from);
        let token_file = token_file.or_else(|| root.as_ref().map(|root| root.join("token")));
        let stored = || regular::text(token_file?).ok().map(|t| t.trim().to_owned());
        let token = given("HF_TOKEN").or_else(stored).filter(|token| !token.is_empty());
        let cache = given("HF_HUB_CACHE").map(PathBuf::from);
        let Some(cache) = cache.or_else(|| root.map(|root| root.join("hub"))) else {
            return Err(Error::setting(
                "HF_HOME",
                "is not set, and there is no home folder to keep downloads in",
                "set HF_HOME to a folder for them",
            ));
        };
        // The library relates paths in the cache to each other, which only absolute ones always can be.
        let cache = std::path::absolute(&cache).map_err(Error::io("find", &cache))?;
        let endpoint = given("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into());
        let truths = ["1", "on", "true", "yes"];
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').into(),
            cache,
            token,
            offline: given("HF_HUB_OFFLINE")
                .is_some_and(|value| truths.contains(&value.to_lowercase().as_str())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(find, Some("/home/someone".into())).unwrap()
    }

    #[test]
    fn without_variables() {
        let settings = read(&[("HF_HUB_OFFLINE", "0"), ("HF_TOKEN", ""), ("HF_ENDPOINT", " ")]);
        assert_eq!(settings.endpoint, ENDPOINT);
        assert_eq!(settings.cache, PathBuf::from("/home/someone/.cache/huggingface/hub"));
        assert_eq!((settings.token, settings.offline), (None, false));
        assert!(Settings::read(|_| None, None).unwrap_err().hint().is_some());
    }

    #[test]
    fn the_narrower_variable_wins() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_stored\n").unwrap();
        let home = home.path().to_str().unwrap();
        let settings = read(&[
            ("HF_HOME", home),
            ("XDG_CACHE_HOME", "/elsewhere"),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_HUB_OFFLINE", "True"),
        ]);
        assert_eq!(settings.cache, PathBuf::from(home).join("hub"));
        assert_eq!(settings.token.as_deref(), Some("hf_stored"));
        assert_eq!((settings.endpoint.as_str(), settings.offline), ("http://mirror", true));
        let settings =
            read(&[("HF_HOME", home), ("HF_HUB_CACHE", "/cache"), ("HF_TOKEN", "hf_given")]);
        assert_eq!(settings.cache, PathBuf::from("/cache"));
        assert_eq!(settings.token.as_deref(), Some("hf_given"));
    }
}
