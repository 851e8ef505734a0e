//! A local server that answers as the Hugging Face Hub does: a file list, redirects to another host
//! for large files and to another path for small ones, byte ranges, and failures on demand.

use super::{FILES, golden};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

pub const COMMIT: &str = "39593d5650112b4cc580433f6b0435385882d819";

/// The server's files and behaviour; tests change it.
#[derive(Default)]
pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    /// The token that requests must have, if any.
    pub token: Option<&'static str>,
    /// Lengths after which responses break off, one for each of the next responses.
    pub breaks: Vec<usize>,
    /// Whether range requests get the whole file.
    pub ignores_ranges: bool,
    /// A file served with other contents than announced.
    pub damaged: Option<&'static str>,
    /// All requests so far.
    pub log: Vec<Request>,
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub host: String,
    pub authorization: Option<String>,
    pub range: Option<u64>,
}

/// A running server; it ends with the test process.
pub struct Server {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Serves the tiny model, and files that nobody should request.
    pub fn start() -> Server {
        let mut files: BTreeMap<_, _> =
            FILES.iter().map(|file| (file.to_string(), golden(file))).collect();
        for file in ["unet/diffusion_pytorch_model.bin", "v1.ckpt", "safety_checker/config.json"] {
            files.insert(file.into(), b"nobody should want this".to_vec());
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State { files, ..Default::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &state, port));
            }
        });
        Server { endpoint: format!("http://127.0.0.1:{port}"), state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test failed while it held the lock")
    }

    /// The requests so far for a file's contents, without those that were redirected.
    pub fn contents_requests(&self, file: &str) -> Vec<Request> {
        let end = format!("/contents/{file}");
        self.state().log.iter().filter(|request| request.path == end).cloned().collect()
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a file counts as large: it has a checksum and is on another host.
fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".gguf")
}

fn answer(stream: TcpStream, state: &Mutex<State>, port: u16) {
    let Some(request) = read(&stream) else { return };
    let mut state = state.lock().expect("a state");
    state.log.push(request.clone());
    let at_hub = request.host.starts_with("127.");
    let bearer = state.token.map(|token| format!("Bearer {token}"));
    if at_hub && bearer.is_some() && request.authorization != bearer {
        return respond(
            &stream,
            "401 Unauthorized",
            &[],
            b"{\"error\":\"Invalid username or password.\"}",
        );
    }
    let path = request.path.as_str();
    if path == "/api/models/org/tiny/revision/main?blobs=true" {
        return respond(&stream, "200 OK", &[], list(&state.files).as_bytes());
    }
    if let Some(file) = path.strip_prefix(&format!("/org/tiny/resolve/{COMMIT}/"))
        && state.files.contains_key(file)
    {
        let location = match is_large(file) {
            true => format!("http://localhost:{port}/contents/{file}"),
            false => format!("/contents/{file}"),
        };
        return respond(&stream, "302 Found", &[("Location", location)], b"");
    }
    match path.strip_prefix("/contents/").and_then(|file| Some((file, state.files.get(file)?))) {
        Some((file, contents)) => {
            let mut contents = contents.clone();
            if state.damaged == Some(file) {
                contents[100] ^= 1;
            }
            send(&stream, &contents, request.range, &mut state, is_large(file));
        }
        None => respond(&stream, "404 Not Found", &[], b"{\"error\":\"Repository not found\"}"),
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut request = Request {
        path: first.split(' ').nth(1)?.to_string(),
        host: String::new(),
        authorization: None,
        range: None,
    };
    while let Some(Ok(line)) = lines.next() {
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "host" => request.host = value.into(),
            "authorization" => request.authorization = Some(value.into()),
            "range" => {
                request.range = value.strip_prefix("bytes=")?.trim_end_matches('-').parse().ok()
            }
            _ => {}
        }
    }
    Some(request)
}

fn list(files: &BTreeMap<String, Vec<u8>>) -> String {
    let siblings: Vec<_> = files
        .iter()
        .map(|(file, contents)| {
            let (size, hash) = (contents.len(), sha256(contents));
            let mut sibling =
                serde_json::json!({"rfilename": file, "size": size, "blobId": hash[..40]});
            if is_large(file) {
                sibling["lfs"] =
                    serde_json::json!({"sha256": hash, "size": size, "pointerSize": 134});
            }
            sibling
        })
        .collect();
    serde_json::json!({"id": "org/tiny", "sha": COMMIT, "siblings": siblings}).to_string()
}

/// Sends contents or a range of them, up to the next break.
fn send(stream: &TcpStream, contents: &[u8], range: Option<u64>, state: &mut State, large: bool) {
    let from = range.filter(|_| !state.ignores_ranges).unwrap_or(0) as usize;
    let rest = &contents[from..];
    let end = match large {
        true => state.breaks.pop().unwrap_or(rest.len()).min(rest.len()),
        false => rest.len(),
    };
    let mut head = format!("Content-Length: {}\r\n", rest.len());
    let status = match range.filter(|_| !state.ignores_ranges) {
        Some(_) => {
            let last = contents.len() - 1;
            head += &format!("Content-Range: bytes {from}-{last}/{}\r\n", contents.len());
            "206 Partial Content"
        }
        None => "200 OK",
    };
    write(stream, status, &head, &rest[..end]);
}

fn respond(stream: &TcpStream, status: &str, headers: &[(&str, String)], body: &[u8]) {
    let mut head = format!("Content-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    write(stream, status, &head, body);
}

/// Writes a response; a client that closed the connection is not an error.
fn write(mut stream: &TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let _ = stream.flush();
}
