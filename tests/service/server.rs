//! A service that answers for a network, or in one of the ways in which things go wrong.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use epsball::loss::argmax;
use epsball::model::file::{Declared, load};
use epsball::model::{Classifier as _, FrozenNetwork};
use epsball::rows::{Location, Rows};

/// What goes wrong with the answer to a request.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This status, with these headers.
    Status(u16, String),
    /// The answer comes after this time.
    Slow(Duration),
    /// The connection is closed without an answer.
    Dropped,
    /// The answer ends in the middle.
    Cut,
    /// A row is missing.
    Short,
    /// Every row has a number too many.
    Wide,
    /// A number is NaN.
    Nan,
    /// This text with status 200.
    Text(String),
}

/// How the service answers.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Style {
    RawLogits,
    Logits,
    Probabilities,
    Classes,
}

/// A request for answers, as it came in.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) images: usize,
}

struct State {
    network: FrozenNetwork,
    style: Style,
    card: String,
    /// For the next requests, in order; nothing goes wrong with one that has `None`.
    faults: VecDeque<Option<Fault>>,
    /// The value of `authorization` without which nothing is answered.
    secret: Option<String>,
    asked: Vec<Asked>,
}

pub(crate) struct Server {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

pub(crate) fn network(name: &str) -> FrozenNetwork {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benchmarks/models");
    load(&folder.join(format!("{name}.safetensors")), &Declared::default()).unwrap().0
}

impl Server {
    pub(crate) fn new(style: Style) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/answers", listener.local_addr().unwrap());
        let answers = match style {
            Style::RawLogits | Style::Logits => "logits",
            Style::Probabilities => "probabilities",
            Style::Classes => "classes",
        };
        let card = format!(
            "{{\"name\": \"digits\", \"shape\": [1, 8, 8], \"classes\": 10, \"answers\": \"{answers}\", \
             \"version\": \"1\"}}"
        );
        let state = State {
            network: network("digits-trades"),
            style,
            card,
            faults: VecDeque::new(),
            secret: None,
            asked: Vec::new(),
        };
        let server = Self { address, state: Arc::new(Mutex::new(state)) };
        let state = Arc::clone(&server.state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&state);
                // A client that went away is not the server's concern.
                std::thread::spawn(move || serve(stream.unwrap(), &state));
            }
        });
        server
    }

    /// What happens to the requests for answers from now on, after `good` of them.
    pub(crate) fn fails(&self, good: usize, faults: &[Fault]) {
        let mut state = self.state.lock().unwrap();
        state.faults = std::iter::repeat_n(None, good).collect();
        state.faults.extend(faults.iter().cloned().map(Some));
    }

    pub(crate) fn describes(&self, card: &str) {
        self.state.lock().unwrap().card = card.into();
    }

    pub(crate) fn computes(&self, name: &str) {
        self.state.lock().unwrap().network = network(name);
    }

    pub(crate) fn wants(&self, secret: &str) {
        self.state.lock().unwrap().secret = Some(secret.into());
    }

    /// The requests since it was asked last.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

/// Answers one request after the other.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (answer, then) = answer(&first, &headers, &body, &mut state.lock().unwrap());
        if let Then::After(pause) = then {
            std::thread::sleep(pause);
        }
        stream.write_all(&answer)?;
        if matches!(then, Then::End) {
            return Ok(());
        }
    }
}

/// What becomes of an answer.
enum Then {
    GoOn,
    After(Duration),
    /// The connection ends with it.
    End,
}

/// The bytes of the answer.
fn answer(
    first: &str,
    headers: &HashMap<String, String>,
    body: &[u8],
    state: &mut State,
) -> (Vec<u8>, Then) {
    let given = headers.get("authorization");
    if state.secret.is_some() && given != state.secret.as_ref() {
        let text = format!("no entry with {}", given.map_or("nothing", String::as_str));
        return (response(401, "", text.as_bytes()), Then::GoOn);
    }
    if first.starts_with("GET ") {
        let json = "Content-Type: application/json\r\n";
        return (response(200, json, state.card.as_bytes()), Then::GoOn);
    }
    let (shape, pixels) = images(headers, body);
    state.asked.push(Asked { at: Instant::now(), images: shape[0] });
    let fault = state.faults.pop_front().flatten();
    match &fault {
        Some(Fault::Status(status, told)) => {
            return (response(*status, told, b"not now"), Then::GoOn);
        }
        Some(Fault::Dropped) => return (Vec::new(), Then::End),
        Some(Fault::Text(text)) => return (response(200, "", text.as_bytes()), Then::GoOn),
        _ => {}
    }
    let images = Rows::new(&Location::default(), shape, pixels).unwrap();
    let logits = state.network.logits(&images).unwrap();
    let mut rows: Vec<Vec<f32>> =
        logits.values().unwrap().chunks_exact(10).map(<[f32]>::to_vec).collect();
    match &fault {
        Some(Fault::Short) => drop(rows.pop()),
        Some(Fault::Wide) => rows.iter_mut().for_each(|row| row.push(0.0)),
        Some(Fault::Nan) => rows[0][3] = f32::NAN,
        _ => {}
    }
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let mut answer = match state.style {
        Style::RawLogits => {
            let bytes: Vec<u8> = rows.concat().iter().flat_map(|v| v.to_le_bytes()).collect();
            response(200, "Content-Type: application/octet-stream\r\n", &bytes)
        }
        Style::Logits => {
            let text = serde_json::json!({ "logits": rows }).to_string();
            response(200, json, text.as_bytes())
        }
        Style::Probabilities => {
            let softmax = |row: &Vec<f32>| -> Vec<f64> {
                let most = f64::from(row[argmax(row)]);
                let e: Vec<f64> = row.iter().map(|z| (f64::from(*z) - most).exp()).collect();
                e.iter().map(|v| v / e.iter().sum::<f64>()).collect()
            };
            let rows: Vec<Vec<f64>> = rows.iter().map(softmax).collect();
            let text = serde_json::json!({ "probabilities": rows }).to_string();
            response(200, json, text.as_bytes())
        }
        Style::Classes => {
            let classes: Vec<usize> = rows.iter().map(|row| argmax(row)).collect();
            let text = serde_json::json!({ "classes": classes }).to_string();
            response(200, json, text.as_bytes())
        }
    };
    match fault {
        Some(Fault::Cut) => {
            answer.truncate(answer.len() - 7);
            (answer, Then::End)
        }
        Some(Fault::Slow(pause)) => (answer, Then::After(pause)),
        _ => (answer, Then::GoOn),
    }
}

/// Shape and numbers of the images of a request, which are said twice where they are JSON.
fn images(headers: &HashMap<String, String>, body: &[u8]) -> ([usize; 4], Vec<f32>) {
    let told = headers["x-shape"].split(',').map(|side| side.parse().unwrap());
    let told: Vec<usize> = told.collect();
    let shape: [usize; 4] = told.try_into().unwrap();
    let pixels: Vec<f32> = if headers["content-type"] == "application/json" {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(json["shape"], serde_json::json!(shape));
        serde_json::from_value(json["images"].clone()).unwrap()
    } else {
        let bytes = body.chunks_exact(4);
        bytes.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    assert_eq!(pixels.len(), shape.iter().product::<usize>());
    (shape, pixels)
}

fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Told\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}
