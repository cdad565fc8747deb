//! Servers on 127.0.0.1 that misbehave: nobody there, a cut answer, no answer, half an answer.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What such a server does with each connection, once it has read a whole request.
#[derive(Debug, Clone, Copy)]
pub enum Manners {
    /// Closes it.
    Close,
    /// Keeps it open and says nothing.
    Silence,
    /// Sends these bytes, then closes it.
    Say(&'static str),
    /// Sends these bytes, and keeps it open.
    SayAndStay(&'static str),
    /// Sends these bytes one by one, more slowly than anybody waits.
    Drip(&'static str),
    /// Closes it without reading anything.
    HangUp,
    /// Leaves it to the kernel, which accepts it.
    Ignore,
}

/// A listener that lives as long as the test process.
pub struct Rude {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    requests: Arc<AtomicUsize>,
}

impl Rude {
    /// Starts one.
    pub fn start(manners: Manners) -> Self {
        Self::by_turns(manners, manners)
    }

    /// One that treats what is put, such as the request for a token of the metadata service, otherwise than the rest.
    pub fn by_turns(put: Manners, other: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(AtomicUsize::new(0));
        if matches!(put, Manners::Ignore) {
            std::mem::forget(listener);
            return Self { endpoint, requests };
        }
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if matches!(put, Manners::HangUp) {
                    continue;
                }
                let manners = if read_request(&mut stream).starts_with("put ") { put } else { other };
                seen.fetch_add(1, Ordering::SeqCst);
                match manners {
                    Manners::Close | Manners::HangUp | Manners::Ignore => {}
                    Manners::Silence => kept.push(stream),
                    Manners::Say(words) => {
                        let _ = stream.write_all(words.as_bytes());
                    }
                    Manners::SayAndStay(words) => {
                        let _ = stream.write_all(words.as_bytes());
                        kept.push(stream);
                    }
                    Manners::Drip(words) => drip(stream, words),
                }
            }
        });
        Self { endpoint, requests }
    }

    /// How many whole requests came in.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// An endpoint where nobody listens, nor ever will while the test process lives: the port is bound.
pub fn dead_endpoint() -> String {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let endpoint = format!("http://{}", socket.local_addr().expect("bound"));
    std::mem::forget(socket);
    endpoint
}

#[allow(clippy::disallowed_methods)] // whoever is on the other side has real time only
fn drip(mut stream: std::net::TcpStream, words: &'static str) {
    std::thread::spawn(move || {
        for byte in words.bytes() {
            std::thread::sleep(std::time::Duration::from_millis(300));
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
    });
}

/// Reads head and body (by Content-Length), so that closing is no reset of what is still to come.
fn read_request(stream: &mut impl Read) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0_u8; 4096]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return String::new() };
        all.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&all).to_lowercase();
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length = text[..head].lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if all.len() >= head + 4 + length.unwrap_or(0_usize) {
            return text;
        }
    }
}
