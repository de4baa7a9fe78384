//! Requests to a service, one at a time: as often as its user allows, repeated where it does not answer, and given up
//! where somebody wants to stop.

use std::io::{Read as _, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::{Agent, Body};

use super::is_address;
use crate::error::{Error, Result};
use crate::hidden::escaped;
use crate::record::{ServiceBody, ServiceForm};

/// How often a request is repeated, unless the user says otherwise.
const RETRIES: u32 = 5;

/// The most of that.
const MOST_RETRIES: u32 = 100;

/// Seconds that an answer may take, unless the user says otherwise.
const TIMEOUT: f64 = 60.0;

/// The pause before the first repetition; every further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause that a service is granted which asks for one.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How often somebody who wants to stop is listened to during a pause.
const LISTEN: Duration = Duration::from_millis(50);

/// Bytes of a description at most.
const DESCRIPTION: u64 = 1 << 16;

/// Bytes of an answer at most: for each number, and for what stands around them.
const ANSWER: [u64; 2] = [64, 1 << 16];

/// Bytes of a refusal that are shown.
const SHOWN: u64 = 200;

/// Statuses that say: not now. The last two are of gateways before a service that starts again.
const LATER: [u16; 4] = [429, 503, 502, 504];

/// Whether to stop, where a whole process has an answer.
static STOP: OnceLock<fn() -> bool> = OnceLock::new();

/// Gives up requests and pauses as soon as `asked` says so: a network is asked by attacks that hear of it between two
/// passes only, and a pass may be many requests. Only the first time counts.
pub fn stop_if(asked: fn() -> bool) {
    // A later call is made by the same program.
    let _ = STOP.set(asked);
}

/// # Errors
/// With [`Error::Interrupted`] if somebody wants to stop.
fn go_on() -> Result<()> {
    match STOP.get().is_some_and(|asked| asked()) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

fn pause_until(end: Instant) -> Result<()> {
    loop {
        go_on()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LISTEN));
    }
}

/// The body of an answer.
pub(super) struct Answer {
    /// It is little-endian f32, and not JSON.
    pub(super) is_raw: bool,
    pub(super) bytes: Vec<u8>,
}

/// Why a request failed.
enum Refusal {
    /// Another one may be answered, after this pause if the service says so.
    Later(Error, Option<Duration>),
    Never(Error),
}

/// Asks one service.
pub(super) struct Client {
    address: String,
    agent: Agent,
    /// Name and value.
    header: Option<(String, String)>,
    interval: Duration,
    retries: u32,
    timeout: Duration,
    /// When the next request may be made. Held while one is under way, so that there is one at a time.
    next: Mutex<Option<Instant>>,
}

impl Client {
    pub(super) fn new(address: &str, form: &ServiceForm) -> Result<Self> {
        check(address)?;
        let timeout = seconds("timeout", form.timeout.unwrap_or(TIMEOUT))?;
        let interval = match form.rate {
            Some(rate) => seconds("rate", 1.0 / rate)?,
            None => Duration::ZERO,
        };
        let retries = form.retries.unwrap_or(RETRIES);
        if retries > MOST_RETRIES {
            let problem = format!("{retries} are more than {MOST_RETRIES}");
            return Err(Error::setting("service: retries", problem, "give fewer"));
        }
        let header = form.header.as_deref().map(header).transpose()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A header that is meant for this address goes to no other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The service is the user's own.
            .proxy(None)
            .timeout_global(Some(timeout))
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .build();
        let (address, agent, next) = (address.to_owned(), config.new_agent(), Mutex::new(None));
        Ok(Self { address, agent, header, interval, retries, timeout, next })
    }

    /// An error about the service.
    pub(super) fn error(&self, problem: impl Into<String>, remedy: &str) -> Error {
        Error::setting(&self.address, problem, remedy)
    }

    /// What the service says of itself.
    pub(super) fn describe(&self) -> Result<Vec<u8>> {
        let get = || {
            let mut request = self.agent.get(&self.address).header("accept", "application/json");
            if let Some((name, value)) = &self.header {
                request = request.header(name, value);
            }
            request.call()
        };
        self.patiently(DESCRIPTION, &get).map(|answer| answer.bytes)
    }

    /// The answer to images of this shape, `[N, C, H, W]`, in a network of so many classes.
    pub(super) fn ask(
        &self,
        body: ServiceBody,
        shape: [usize; 4],
        pixels: &[f32],
        classes: usize,
    ) -> Result<Answer> {
        let [n, c, h, w] = shape;
        let (kind, bytes) = match body {
            ServiceBody::Raw => {
                let bytes = pixels.iter().flat_map(|value| value.to_le_bytes()).collect();
                ("application/octet-stream", bytes)
            }
            ServiceBody::Json => ("application/json", json(shape, pixels)?),
        };
        let post = || {
            let mut request = self
                .agent
                .post(&self.address)
                .header("accept", "application/json, application/octet-stream")
                .header("content-type", kind)
                .header("x-shape", format!("{n},{c},{h},{w}"));
            if let Some((name, value)) = &self.header {
                request = request.header(name, value);
            }
            request.send(&bytes[..])
        };
        self.patiently(ANSWER[0] * (n * classes) as u64 + ANSWER[1], &post)
    }

    /// The answer to a request, which is made again where there is none; of `limit` bytes at most.
    fn patiently(
        &self,
        limit: u64,
        request: &dyn Fn() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pause = PAUSE;
        let mut repeated = 0;
        loop {
            pause_until(next.unwrap_or_else(Instant::now))?;
            let began = Instant::now();
            *next = Some(began + self.interval);
            let refusal = match self.once(limit, request) {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            let (error, asked) = match refusal {
                Refusal::Never(error) => return Err(error),
                Refusal::Later(error, asked) => (error, asked),
            };
            if repeated == self.retries || asked.is_some_and(|pause| pause > LONGEST_ASKED) {
                return Err(error);
            }
            tracing::warn!("{error}; asking again");
            repeated += 1;
            *next = (*next).max(Some(Instant::now() + asked.unwrap_or(pause)));
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    fn once(
        &self,
        limit: u64,
        request: &dyn Fn() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer, Refusal> {
        let mut response = request().map_err(|error| self.refusal(&error))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(self.status(status, &mut response));
        }
        let is_raw = response.body().mime_type() == Some("application/octet-stream");
        let body = response.body_mut().with_config().limit(limit);
        let bytes = body.read_to_vec().map_err(|error| self.refusal(&error))?;
        Ok(Answer { is_raw, bytes })
    }

    /// Why there was no answer, or no whole one.
    fn refusal(&self, error: &ureq::Error) -> Refusal {
        let later = |problem: String, remedy| Refusal::Later(self.error(problem, remedy), None);
        match error {
            ureq::Error::Timeout(_) => later(
                format!("did not answer within {} s", self.timeout.as_secs_f64()),
                "see whether it runs, allow it more time, or ask about fewer images at a time; the same command goes on",
            ),
            ureq::Error::Io(_)
            | ureq::Error::Protocol(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed => later(
                format!("did not answer: {}", escaped(&error.to_string())),
                "see whether the service runs there; the same command goes on where this one ended",
            ),
            ureq::Error::BodyExceedsLimit(limit) => Refusal::Never(self.error(
                format!("its answer is longer than the {limit} bytes that one can have"),
                "answer with what the service's description says, and no more",
            )),
            error => Refusal::Never(self.error(
                format!("cannot be asked: {}", escaped(&error.to_string())),
                "check the address and the header",
            )),
        }
    }

    /// What a service says back is not to show the value of its header.
    fn without_secret(&self, text: &str) -> String {
        match &self.header {
            Some((_, value)) if !value.is_empty() => text.replace(value, "[header]"),
            _ => text.to_owned(),
        }
    }

    /// What a status other than 200 says.
    fn status(&self, status: u16, response: &mut Response<Body>) -> Refusal {
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let asked = header("retry-after").and_then(|text| text.trim().parse().ok());
        let moved = header("location").map(|to| format!(", to {}", escaped(&to)));
        let mut text = Vec::new();
        // What can be read of it is shown.
        let _ = response.body_mut().as_reader().take(SHOWN).read_to_end(&mut text);
        let text = self.without_secret(&String::from_utf8_lossy(&text));
        let text = match text.trim() {
            "" => String::new(),
            text => format!(": {}", escaped(text)),
        };
        let problem = format!("answered with status {status}{}{text}", moved.unwrap_or_default());
        let remedy = match status {
            429 => {
                "ask more slowly (rate), or later: the same command goes on where this one ended"
            }
            502..=504 => {
                "see whether the service runs; the same command goes on where this one ended"
            }
            300..=399 => "give the address that it has moved to",
            401 | 403 => "name a header and the variable that holds its value: authorization=TOKEN",
            404 | 405 => {
                "check the address: GET describes the service there, POST asks it (or give --card)"
            }
            413 => "ask about fewer images at a time (batch)",
            _ => {
                "see what the service says about it; the same command goes on where this one ended"
            }
        };
        let error = self.error(problem, remedy);
        match LATER.contains(&status) {
            true => Refusal::Later(error, asked.map(Duration::from_secs)),
            false => Refusal::Never(error),
        }
    }
}

/// Refuses what is no address of a service, and one with a password in it, since addresses are recorded.
fn check(address: &str) -> Result<()> {
    let bad = |problem: &str, remedy: &str| Err(Error::setting(address, problem, remedy));
    if !is_address(address) || address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("is no address of a service", "write http://HOST:PORT/PATH");
    }
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err(Error::setting(
            "the address of a service",
            "holds a user or a password, and addresses are recorded",
            "leave it out, and name a header with an environment variable: authorization=TOKEN",
        ));
    }
    if host.is_empty() {
        return bad("names no host", "write http://HOST:PORT/PATH");
    }
    let is_secure = address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    if is_secure && !cfg!(feature = "hub") {
        return bad(
            "is asked over https, which this build of epsball does not speak",
            "build it with `--features hub`, which has TLS, or ask over http",
        );
    }
    Ok(())
}

/// A header `NAME=VARIABLE` with the value that the environment has for it.
fn header(text: &str) -> Result<(String, String)> {
    let bad =
        |problem: String, remedy: &str| Err(Error::setting("service: header", problem, remedy));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let Some((name, variable)) = text.split_once('=').filter(|(name, variable)| {
        !name.is_empty() && !variable.is_empty() && text.replacen('=', "", 1).chars().all(plain)
    }) else {
        // What stands there may be the secret itself.
        return bad(
            "is not NAME=VARIABLE".into(),
            "write authorization=TOKEN, and TOKEN into the environment",
        );
    };
    match std::env::var(variable) {
        Ok(value) if ureq::http::HeaderValue::from_str(&value).is_ok() => Ok((name.into(), value)),
        Ok(_) => bad(
            format!("the value of the environment variable {variable} cannot be a header"),
            "leave out line breaks and other characters that are not seen",
        ),
        Err(_) => bad(
            format!("the environment has no variable {variable}"),
            "set it to the value of the header: export TOKEN=\"Bearer ...\"",
        ),
    }
}

fn seconds(name: &str, seconds: f64) -> Result<Duration> {
    /// A week.
    const MOST: f64 = 604_800.0;
    match seconds > 0.0 && seconds <= MOST {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(Error::setting(
            format!("service: {name}"),
            "is no number above 0, or none that is of use",
            "give seconds of a timeout as 30, requests per second as 10 or 0.5",
        )),
    }
}

/// `{"shape": [N, C, H, W], "images": [..]}`, every number so that f32 reads it back.
fn json(shape: [usize; 4], pixels: &[f32]) -> Result<Vec<u8>> {
    let mut text = format!("{{\"shape\": {shape:?}, \"images\": ").into_bytes();
    let written = serde_json::to_writer(&mut text, pixels).map_err(std::io::Error::from);
    let written = written.and_then(|()| text.write_all(b"}"));
    let problem = |error: std::io::Error| Error::setting("images", error.to_string(), "");
    written.map_err(problem)?;
    Ok(text)
}
