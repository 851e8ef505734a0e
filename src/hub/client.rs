//! Requests to the hub: the file list of a repository, and the contents of a file.
//!
//! The hub answers a request for a file with a redirect to the server that has its contents. The
//! token is sent to the hub only, the byte range to both.

use super::options::HubOptions;
use super::repository::{Repository, is_plain};
use crate::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Time without a byte from the server after which a request fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Limit of the file list's length.
const MAX_LIST_BYTES: u64 = 16 << 20;

/// A client of the hub, with the user's endpoint and token.
pub(super) struct Client<'a> {
    agent: Agent,
    options: &'a HubOptions,
}

/// The file list of a repository at one commit.
pub(super) struct Listing {
    pub commit: String,
    pub files: BTreeMap<String, Entry>,
}

/// A file in the hub's list: path, size and hashes.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub bytes: u64,
    /// The blob's name in the cache: the SHA-256 of a large (LFS) file, Git's hash of another.
    pub blob: String,
    /// The checksum of a large (LFS) file.
    pub sha256: Option<String>,
}

/// A response with a file's contents from some byte on.
pub(super) struct Contents {
    /// The first byte of the response: the requested one, or 0 from a server without range
    /// requests.
    pub from: u64,
    pub reader: Box<dyn Read>,
}

impl<'a> Client<'a> {
    pub fn new(options: &'a HubOptions) -> Client<'a> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("croquis/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE));
        Client { agent: config.build().new_agent(), options }
    }

    /// Requests the file list of a repository.
    ///
    /// # Errors
    /// `NotFound` if the repository or revision does not exist, `Argument` if it needs a token,
    /// `Io` if the hub does not answer, `Format` if the answer is not a file list.
    pub fn list(&self, repository: &Repository) -> Result<Listing> {
        let revision = repository.revision().replace('/', "%2F");
        let (endpoint, name) = (&self.options.endpoint, repository.name());
        let url = format!("{endpoint}/api/models/{name}/revision/{revision}?blobs=true");
        let mut response = self.get(&url, 0, repository)?;
        let body = response.body_mut().with_config().limit(MAX_LIST_BYTES).read_to_vec();
        let body = body.map_err(|error| failed(&url, error))?;
        parse_list(&body).map_err(|error| error.context(url))
    }

    /// Requests the contents of a file from a byte on.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub fn open(
        &self,
        repository: &Repository,
        commit: &str,
        path: &str,
        from: u64,
    ) -> Result<Contents> {
        let (endpoint, name) = (&self.options.endpoint, repository.name());
        let url = format!("{endpoint}/{name}/resolve/{commit}/{path}");
        let response = self.get(&url, from, repository)?;
        let start = match response.status().as_u16() {
            206 => range_start(&response).ok_or_else(|| {
                let message = format!("{url}: expected a Content-Range, got none");
                Error::new(ErrorKind::Format, message)
            })?,
            _ => 0,
        };
        if start != 0 && start != from {
            let message = format!("{url}: expected the bytes from {from} on, got from {start}");
            return Err(Error::new(ErrorKind::Format, message));
        }
        Ok(Contents { from: start, reader: Box::new(response.into_body().into_reader()) })
    }

    fn get(&self, url: &str, from: u64, repository: &Repository) -> Result<Response<Body>> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.options.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let response = request.call().map_err(|error| failed(url, error))?;
        let page = format!("{}/{}", self.options.endpoint, repository.name());
        let (kind, advice) = match response.status().as_u16() {
            200 | 206 => return Ok(response),
            401 | 403 if self.options.token.is_none() => (
                ErrorKind::Argument,
                format!(
                    "there is no such model, or it needs a token: accept its conditions at {page}, \
                     and set HF_TOKEN"
                ),
            ),
            401 | 403 => (
                ErrorKind::Argument,
                format!("the token in HF_TOKEN has no access; accept its conditions at {page}"),
            ),
            404 => {
                (ErrorKind::NotFound, format!("there is no such model, revision or file: {page}"))
            }
            _ => (ErrorKind::Io, "the hub cannot answer; try again later".into()),
        };
        Err(Error::new(kind, format!("{url}: {}: {advice}", response.status())))
    }
}

fn failed(url: &str, error: ureq::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{url}: no answer")).with_source(error)
}

/// Parses the first byte of `Content-Range: bytes 5-9/10`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// Parses the hub's answer to a request for the file list.
fn parse_list(json: &[u8]) -> Result<Listing> {
    #[derive(Deserialize)]
    struct Answer {
        sha: String,
        siblings: Vec<Sibling>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sibling {
        rfilename: String,
        size: Option<u64>,
        blob_id: Option<String>,
        lfs: Option<Lfs>,
    }
    #[derive(Deserialize)]
    struct Lfs {
        sha256: String,
        size: u64,
    }

    let answer: Answer = serde_json::from_slice(json).map_err(|error| {
        let message = "expected a list of a repository's files, got something else";
        Error::new(ErrorKind::Format, message).with_source(error)
    })?;
    // Hashes become file names in the cache.
    let hash = |text: &str| text.len() >= 8 && is_plain(text);
    let refused = |what: &str, got: &str| {
        Error::new(ErrorKind::Format, format!("expected a hash of {what}, got {got:?}"))
    };
    if !hash(&answer.sha) {
        return Err(refused("the commit", &answer.sha));
    }
    let mut files = BTreeMap::new();
    for Sibling { rfilename, size, blob_id, lfs } in answer.siblings {
        let sha256 = lfs.as_ref().map(|lfs| lfs.sha256.to_ascii_lowercase());
        let blob = sha256.clone().or(blob_id).unwrap_or_default();
        if !hash(&blob) {
            return Err(refused(&rfilename, &blob));
        }
        let Some(bytes) = lfs.map(|lfs| lfs.size).or(size) else {
            let message = format!("expected the size of {rfilename}, got none");
            return Err(Error::new(ErrorKind::Format, message));
        };
        files.insert(rfilename, Entry { bytes, blob, sha256 });
    }
    Ok(Listing { commit: answer.sha, files })
}
