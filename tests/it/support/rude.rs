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
    /// Closes it without reading anything.
    HangUp,
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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if matches!(manners, Manners::HangUp) {
                    continue;
                }
                read_request(&mut stream);
                seen.fetch_add(1, Ordering::SeqCst);
                match manners {
                    Manners::Close | Manners::HangUp => {}
                    Manners::Silence => kept.push(stream),
                    Manners::Say(words) => {
                        let _ = stream.write_all(words.as_bytes());
                    }
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

/// Reads head and body (by Content-Length), so that closing is no reset of what is still to come.
fn read_request(stream: &mut impl Read) {
    let (mut all, mut buffer) = (Vec::new(), [0_u8; 4096]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        all.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&all).to_lowercase();
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length = text[..head].lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        if all.len() >= head + 4 + length.unwrap_or(0_usize) {
            return;
        }
    }
}
