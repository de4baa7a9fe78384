//! What the library or the Hub could not do, as what the user can: there is always the way by hand.

use hf_hub::api::sync::ApiError;

use super::fetch::Hub;
use crate::error::Error;

impl Hub<'_> {
    /// An error about the reference.
    pub(super) fn error(
        &self,
        problem: impl Into<String>,
        remedy: impl std::fmt::Display,
    ) -> Error {
        let by_hand = self.reference.by_hand(&self.settings.endpoint);
        Error::setting(self.reference.to_string(), problem, format!("{remedy}, or {by_hand}"))
    }

    /// An error of the library.
    pub(super) fn refused(&self, error: ApiError) -> Error {
        let endpoint = &self.settings.endpoint;
        match error {
            ApiError::RequestError(error) => match *error {
                ureq::Error::StatusCode(status) => self.status(status),
                error => self.error(
                    format!("cannot reach {endpoint}: {error}"),
                    "check the connection and HF_ENDPOINT",
                ),
            },
            ApiError::TooManyRetries(error) => self.refused(*error),
            ApiError::IoError(error) => {
                let folder = self.settings.cache.display();
                self.error(
                    format!("the download to {folder} broke off: {error}"),
                    "run the command again, which goes on from there",
                )
            }
            ApiError::LockAcquisition(lock) => self.error(
                format!("another program downloads it and holds {}", lock.display()),
                "wait for it",
            ),
            // The Hub does so for small files of text, some mirrors for all.
            ApiError::MissingHeader(header) => self.error(
                format!("{endpoint} answers without the header {header}, which a download needs"),
                "check HF_ENDPOINT",
            ),
            error => self.error(
                format!("{endpoint} does not answer as the Hub does: {error}"),
                "check HF_ENDPOINT",
            ),
        }
    }

    /// A refusal by the Hub, which does not tell strangers what there is that they may not see.
    fn status(&self, status: u16) -> Error {
        let endpoint = &self.settings.endpoint;
        let page = self.reference.page(endpoint);
        let (reason, remedy) = match (status, &self.settings.token) {
            (401, token) => (
                match token {
                    None => "no such repository, or one that wants a token",
                    Some(_) => "no such repository, or one that wants another token",
                },
                format!("check the name, set HF_TOKEN to a token from {endpoint}/settings/tokens"),
            ),
            (403, _) => (
                "only accounts that were let in may read it",
                format!("accept the terms on {page} and set HF_TOKEN to a token of that account"),
            ),
            (404, _) => (
                "no such repository, revision or file",
                format!("look on {page} for what there is"),
            ),
            _ => ("which is no file", "try again later".into()),
        };
        self.error(format!("the Hub answers {status}, {reason}"), remedy)
    }
}
