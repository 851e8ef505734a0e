//! Downloads that fail: the error, and the state of the cache afterwards.

use super::server::{Server, sha256};
use super::{empty_cache, golden, repository};
use croquis::hub::{HubOptions, fetch};
use croquis::{Error, ErrorKind};
use std::ops::ControlFlow;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

fn hub(name: &str) -> (Server, HubOptions) {
    let server = Server::start();
    let mut options = empty_cache(name);
    options.endpoint = server.endpoint.clone();
    options.offline = false;
    (server, options)
}

pub fn failure(name: &str, options: &HubOptions) -> Error {
    let fetched = fetch(&repository(name), options, |_| ControlFlow::Continue(()));
    fetched.expect_err("a failure")
}

#[track_caller]
pub fn assert_says(error: &Error, kind: ErrorKind, words: &[&str]) {
    let message = error.to_string();
    let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
    assert!(error.kind() == kind && missing.is_empty(), "{error:?}, without {missing:?}");
}

#[test]
fn contents_with_another_checksum_are_refused_and_removed() {
    let (server, options) = hub("checksum");
    server.state().damaged = Some(UNET);
    let expected = sha256(&golden(UNET));
    let error = failure("org/tiny", &options);
    let words = ["model org/tiny: ", UNET, "SHA-256: expected", &expected, "download it again"];
    assert_says(&error, ErrorKind::Format, &words);
    let folder = options.cache.join("models--org--tiny");
    assert!(!folder.join("blobs").join(&expected).exists());
    assert!(!folder.join(format!("blobs/{expected}.incomplete")).exists());
    // The next download, of the right contents, succeeds.
    server.state().damaged = None;
    fetch(&repository("org/tiny"), &options, |_| ControlFlow::Continue(())).expect("a model");
}

#[test]
fn connections_that_break_at_once_are_given_up() {
    let (server, options) = hub("hopeless");
    server.state().breaks = vec![0; 20];
    let error = failure("org/tiny", &options);
    assert_says(
        &error,
        ErrorKind::Io,
        &["text_encoder/model.safetensors", "got 0 of", "continues"],
    );
}

#[test]
fn a_model_or_revision_that_is_not_there() {
    let (_server, options) = hub("absent");
    for name in ["org/huge", "org/tiny@v9"] {
        let words = [&format!("model {name}: "), "404", "no such model, revision or file"];
        assert_says(&failure(name, &options), ErrorKind::NotFound, &words);
    }
}

#[test]
fn a_model_that_needs_a_token() {
    let (server, mut options) = hub("gated");
    server.state().token = Some("hf_secret");
    let words = ["401", "needs a token", "set HF_TOKEN", "/org/tiny"];
    assert_says(&failure("org/tiny", &options), ErrorKind::Argument, &words);
    options.token = Some("hf_wrong".into());
    let error = failure("org/tiny", &options);
    assert_says(&error, ErrorKind::Argument, &["the token in HF_TOKEN has no access"]);
    assert!(!error.to_string().contains("hf_wrong"));

    options.token = Some("hf_secret".into());
    fetch(&repository("org/tiny"), &options, |_| ControlFlow::Continue(())).expect("a model");
    // The token is for the hub only, not for the hosts that it sends to.
    let log = server.state().log.clone();
    let elsewhere: Vec<_> =
        log.iter().filter(|request| request.host.starts_with("localhost")).collect();
    assert!(!elsewhere.is_empty());
    assert!(elsewhere.iter().all(|request| request.authorization.is_none()), "{elsewhere:?}");
}

#[test]
fn a_repository_without_what_is_needed() {
    let (server, options) = hub("lacking");
    let mut state = server.state();
    state.files.remove(UNET);
    state.files.insert("v1-5.safetensors".into(), vec![0; 10]);
    drop(state);
    let words = ["it lacks", UNET, "single file v1-5.safetensors: name one as org/tiny/FILE"];
    assert_says(&failure("org/tiny", &options), ErrorKind::NotFound, &words);
}

#[test]
fn no_hub_at_all() {
    let mut options = empty_cache("unreachable");
    options.offline = false;
    let words =
        ["model org/tiny: http://127.0.0.1:9/api/models/org/tiny/revision/main", "no answer"];
    assert_says(&failure("org/tiny", &options), ErrorKind::Io, &words);
}
