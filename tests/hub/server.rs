//! A server that answers as the Hub does, or in one of the ways in which things go wrong.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{COMMIT, sha256};

/// What the server does with a file.
#[derive(Clone, Default)]
pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    /// `sha256` if the Hub keeps it outside of git: then it is also told to be at another address.
    pub(crate) etag: String,
    pub(crate) elsewhere: bool,
    /// Answers with this status instead.
    pub(crate) status: Option<u16>,
    /// Breaks off after this many bytes, once.
    pub(crate) breaks_at: Option<usize>,
    /// Sends the whole file after it was asked for the first byte, whatever is asked for.
    pub(crate) ignores_ranges: bool,
    /// Sends the whole file always.
    pub(crate) knows_no_ranges: bool,
}

impl Served {
    pub(crate) fn in_git(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), etag: "a1b2".into(), ..Self::default() }
    }

    pub(crate) fn outside_of_git(bytes: &[u8]) -> Self {
        Self { etag: sha256(bytes), elsewhere: true, ..Self::in_git(bytes) }
    }

    pub(crate) fn refused(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

/// A server of files by their path in the Hub, `owner/name/resolve/main/file`.
pub(crate) struct Hub {
    pub(crate) address: String,
    files: Arc<Mutex<HashMap<String, Served>>>,
    /// Request lines with the token, if one was sent.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hub = Self { address, files: Arc::default(), requests: Arc::default() };
        let (address, files) = (hub.address.clone(), Arc::clone(&hub.files));
        let requests = Arc::clone(&hub.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that went away is not the server's concern.
                let _ = answer(stream.unwrap(), &address, &files, &requests);
            }
        });
        hub
    }

    pub(crate) fn serve(&self, path: &str, file: Served) {
        self.files.lock().unwrap().insert(path.into(), file);
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn answer(
    mut stream: TcpStream,
    address: &str,
    files: &Mutex<HashMap<String, Served>>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let mut headers = HashMap::new();
    while let Some(Ok(line)) = lines.next() {
        match line.split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let token = headers.get("authorization").cloned().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    requests.lock().unwrap().push(format!("{path} {token}").trim().into());
    if let Some(list) = path.strip_prefix("api/") {
        return stream.write_all(&listing(list, &files.lock().unwrap()));
    }
    let (path, moved) = match path.strip_prefix("elsewhere/") {
        Some(path) => (path.to_owned(), true),
        None => (path, false),
    };
    let mut files = files.lock().unwrap();
    let Some(file) = files.get_mut(&path) else {
        return stream.write_all(&response(404, "Not Found", "", b""));
    };
    let told = format!("X-Repo-Commit: {COMMIT}\r\n");
    match file.status {
        Some(status) => stream.write_all(&response(status, "No", "", b"")),
        None if file.elsewhere && !moved => {
            let etag = &file.etag;
            let told = format!(
                "{told}X-Linked-Etag: \"{etag}\"\r\nLocation: {address}/elsewhere/{path}\r\n"
            );
            stream.write_all(&response(302, "Found", &told, b""))
        }
        None => {
            let range = headers.get("range").map(String::as_str).unwrap_or_default();
            stream.write_all(&contents(file, range, &told))
        }
    }
}

/// A file or the part of it that `range` asks for, `bytes=FIRST-[LAST]`.
fn contents(file: &mut Served, range: &str, told: &str) -> Vec<u8> {
    let size = file.bytes.len();
    let told = format!("{told}ETag: \"{}\"\r\n", file.etag);
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    if first >= size {
        return response(416, "Range Not Satisfiable", &told, b"");
    }
    let last: usize = last.parse().unwrap_or(size - 1).min(size - 1);
    if file.knows_no_ranges || file.ignores_ranges && last > 0 {
        return response(200, "OK", &told, &file.bytes);
    }
    let told = format!("{told}Content-Range: bytes {first}-{last}/{size}\r\n");
    let mut answer = response(206, "Partial Content", &told, &file.bytes[first..=last]);
    if last > 0
        && let Some(end) = file.breaks_at.take()
    {
        answer.truncate(answer.len() - size + end);
    }
    answer
}

/// `models/owner/name/revision/main`: the files that are served from there.
fn listing(path: &str, files: &HashMap<String, Served>) -> Vec<u8> {
    let (repository, revision) = path.split_once("/revision/").unwrap();
    let repository = repository.trim_start_matches("models/");
    let start = format!("{repository}/resolve/{revision}/");
    let mut names: Vec<&str> = files.keys().filter_map(|file| file.strip_prefix(&start)).collect();
    names.sort_unstable();
    let siblings: Vec<String> =
        names.iter().map(|name| format!("{{\"rfilename\": \"{name}\"}}")).collect();
    let body = format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{}]}}", siblings.join(", "));
    response(200, "OK", "Content-Type: application/json\r\n", body.as_bytes())
}

fn response(status: u16, reason: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}
