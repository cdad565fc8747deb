//! Asks the instance metadata service which instance this is. Never through a proxy: it is on the machine's own link.
//!
//! Anything but a clean answer matters as much as one: whoever is there may be EC2's own service behind a firewall, a
//! proxy or a hop limit.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::domain::machine::{Metadata, instance_id};

/// For each of the connections and each of the answers. Off EC2 nobody is there, and nothing begins before that is known.
const LIMIT: Duration = Duration::from_secs(1);
/// An answer is a token or an id; whatever is longer is neither.
const ANSWER_MAX: usize = 16 * 1024;

/// Why there is no answer.
enum Failure {
    /// No connection was made.
    Nobody(String),
    /// One was made.
    Somebody(String),
}

/// Asks once, version 2 of the service: a token first, then the id.
pub async fn ask(endpoint: &str, clock: Clock) -> Metadata {
    let said = |why: String| format!("instance metadata at {endpoint} {why}");
    match id(endpoint, clock).await {
        Ok(id) => Metadata::Instance(id),
        Err(Failure::Nobody(why)) => Metadata::Nobody(said(why)),
        Err(Failure::Somebody(why)) => Metadata::Somebody(said(why)),
    }
}

async fn id(endpoint: &str, clock: Clock) -> Result<String, Failure> {
    let service = Service::at(endpoint, clock)?;
    let token = service.request("PUT", "/latest/api/token", ("X-aws-ec2-metadata-token-ttl-seconds", "60")).await?;
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::Somebody("answered no token".into()));
    }
    let id = service.request("GET", "/latest/meta-data/instance-id", ("X-aws-ec2-metadata-token", &token)).await;
    let id = id.map_err(|failure| match failure {
        // It was there a moment ago.
        Failure::Nobody(why) | Failure::Somebody(why) => Failure::Somebody(why),
    })?;
    instance_id(&id).ok_or_else(|| Failure::Somebody("answered no instance id".into()))
}

/// Where it is.
struct Service<'a> {
    host: &'a str,
    address: String,
    clock: Clock,
}

impl<'a> Service<'a> {
    fn at(endpoint: &'a str, clock: Clock) -> Result<Self, Failure> {
        let host = endpoint.strip_prefix("http://").map(|host| host.trim_end_matches('/'));
        // It was named, so that there may well be one.
        let host =
            host.ok_or_else(|| Failure::Somebody("cannot be asked: its address must begin with http://".into()))?;
        let has_port =
            host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok() && !host.ends_with(']'));
        Ok(Self { host, address: if has_port { host.to_owned() } else { format!("{host}:80") }, clock })
    }

    /// One HTTP/1.1 request on a connection of its own; the body of a 200, trimmed.
    async fn request(&self, method: &str, path: &str, header: (&str, &str)) -> Result<String, Failure> {
        let connected = self.clock.timeout(LIMIT, TcpStream::connect(&self.address)).await;
        let mut stream = match connected {
            Some(Ok(stream)) => stream,
            Some(Err(e)) => return Err(Failure::Nobody(format!("cannot be reached: {e}"))),
            None => return Err(Failure::Nobody("cannot be reached within a second".into())),
        };
        let answer = self.clock.timeout(LIMIT, self.exchange(&mut stream, method, path, header)).await;
        let (status, body) = match answer {
            Some(answer) => answer.map_err(Failure::Somebody)?,
            None => return Err(Failure::Somebody(format!("did not answer {method} {path} within a second"))),
        };
        if status != 200 {
            return Err(Failure::Somebody(format!("answered {status} to {method} {path}")));
        }
        Ok(body.trim().to_owned())
    }

    async fn exchange(
        &self,
        stream: &mut TcpStream,
        method: &str,
        path: &str,
        (key, value): (&str, &str),
    ) -> Result<(u16, String), String> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{key}: {value}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.host
        );
        let cut = |e: std::io::Error| format!("was connected, and cut off: {e}");
        stream.write_all(head.as_bytes()).await.map_err(cut)?;
        let mut answer = Vec::new();
        loop {
            let more = stream.read_buf(&mut answer).await.map_err(cut)?;
            // Whoever keeps the connection says by the length where the answer ends.
            match parse(&answer, more == 0) {
                Parsed::Whole(status, body) => return Ok((status, body)),
                Parsed::More if more == 0 && answer.is_empty() => return Err("was connected, and said nothing".into()),
                Parsed::More if more == 0 => return Err("answered half an answer".into()),
                Parsed::More if answer.len() > ANSWER_MAX => return Err("answered at too great a length".into()),
                Parsed::More => {}
                Parsed::Nonsense => return Err("answered something else than HTTP".into()),
            }
        }
    }
}

/// What has come in so far.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// Status and body.
    Whole(u16, String),
    /// The beginning of an answer.
    More,
    /// No HTTP.
    Nonsense,
}

/// An HTTP/1 answer (RFC 9112), as far as a short text needs it; `ended`: nothing more comes.
fn parse(bytes: &[u8], ended: bool) -> Parsed {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let begun = bytes.len().min(BEGINNING.len());
    if bytes[..begun] != BEGINNING[..begun] {
        return Parsed::Nonsense;
    }
    let Some(end) = position(bytes, b"\r\n\r\n") else { return Parsed::More };
    let (Ok(head), body) = (std::str::from_utf8(&bytes[..end]), &bytes[end + 4..]) else { return Parsed::Nonsense };
    let status = head.split_ascii_whitespace().nth(1).and_then(|status| status.parse::<u16>().ok());
    let Some(status) = status else { return Parsed::Nonsense };
    if (100..200).contains(&status) {
        return parse(body, ended); // only an announcement
    }
    let value = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).last()
    };
    let text = |body: &[u8]| Parsed::Whole(status, String::from_utf8_lossy(body).into_owned());
    if let Some(coding) = value("transfer-encoding") {
        if !coding.eq_ignore_ascii_case("chunked") {
            return Parsed::Nonsense;
        }
        return match chunks(body) {
            Ok(Some(body)) => text(&body),
            Ok(None) => Parsed::More,
            Err(()) => Parsed::Nonsense,
        };
    }
    match value("content-length").map(str::parse::<usize>) {
        Some(Err(_)) => Parsed::Nonsense,
        Some(Ok(length)) => body.get(..length).map_or(Parsed::More, text),
        None if matches!(status, 204 | 304) => text(b""),
        // It ends with the connection.
        None if ended => text(body),
        None => Parsed::More,
    }
}

/// The body whose chunks have all come in.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, ()> {
    let mut body = Vec::new();
    loop {
        let Some(end) = position(rest, b"\r\n") else { return Ok(None) };
        let line = std::str::from_utf8(&rest[..end]).map_err(drop)?;
        let size = line.split(';').next().unwrap_or_default().trim(); // the rest are extensions
        let size = usize::from_str_radix(size, 16).ok().filter(|size| *size <= ANSWER_MAX).ok_or(())?;
        if size == 0 {
            return Ok(Some(body)); // trailers say nothing about a body
        }
        let data = &rest[end + 2..];
        let (Some(chunk), Some(after)) = (data.get(..size), data.get(size..size + 2)) else { return Ok(None) };
        if after != b"\r\n" {
            return Err(());
        }
        body.extend_from_slice(chunk);
        rest = &data[size + 2..];
    }
}

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const ID: &str = "i-0123456789abcdef0";

    /// A service on loopback that answers each connection with the next of `answers`, so long after the request, and
    /// keeps it open if `stay`; it hands back the requests.
    async fn service(
        answers: [String; 2],
        after: Duration,
        stay: bool,
    ) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut requests, mut kept) = (Vec::new(), Vec::new());
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n\r\n") {
                    text.push(stream.read_u8().await.unwrap());
                }
                requests.push(String::from_utf8(text).unwrap());
                Clock::Wall.sleep(after).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                kept.extend(stay.then_some(stream));
            }
            if stay {
                std::future::pending::<()>().await;
            }
            requests
        });
        (endpoint, task)
    }

    #[tokio::test]
    async fn the_id_is_asked_for_with_a_token() {
        let answers =
            ["TOKEN==", ID].map(|body| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let (endpoint, task) = service(answers, Duration::ZERO, false).await;
        assert_eq!(ask(&endpoint, Clock::Wall).await, Metadata::Instance(ID.into()));
        let requests = task.await.unwrap();
        assert!(requests[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"), "{}", requests[0]);
        assert!(requests[1].starts_with("GET /latest/meta-data/instance-id HTTP/1.1\r\n"), "{}", requests[1]);
        assert!(requests[1].contains("X-aws-ec2-metadata-token: TOKEN==\r\n"), "{}", requests[1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_answer_is_understood_however_it_comes() {
        let upper = ID.to_ascii_uppercase();
        let length = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let chunked = |body: &str| {
            let (one, two) = body.split_at(1);
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
                two.len()
            )
        };
        let soon = Duration::ZERO;
        // Each is quick enough; both together take longer than a second.
        let slowly = Duration::from_millis(700);
        let table = [
            ("with a length", [length("t"), length(ID)], soon, false),
            ("kept alive", [length("t"), length(ID)], soon, true),
            ("chunked", [chunked("token"), chunked(ID)], soon, false),
            ("chunked and kept alive", [chunked("token"), chunked(ID)], soon, true),
            ("to the end", ["t", ID].map(|body| format!("HTTP/1.0 200 OK\r\n\r\n{body}\n")), soon, false),
            ("slowly", [length("t"), length(ID)], slowly, true),
            ("in capitals", [length("t"), length(&upper)], soon, false),
        ];
        for (how, answers, after, stay) in table {
            let (endpoint, task) = service(answers, after, stay).await;
            assert_eq!(ask(&endpoint, Clock::Wall).await, Metadata::Instance(ID.into()), "{how}");
            task.abort();
        }
    }

    #[test]
    fn an_answer_is_whole_or_goes_on_or_is_none() {
        let whole = |status, body: &str| Parsed::Whole(status, body.into());
        let table = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, whole(200, "abc")),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef", false, whole(200, "abc")),
            ("HTTP/1.0 200 OK\r\n\r\nabc", true, whole(200, "abc")),
            ("HTTP/1.0 200 OK\r\n\r\nabc", false, Parsed::More),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", true, Parsed::More),
            ("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", false, whole(404, "")),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, whole(204, "")),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", false, whole(200, "a")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                false,
                whole(200, "abc"),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", true, Parsed::More),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab\r\n", true, Parsed::Nonsense),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", true, Parsed::Nonsense),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", true, Parsed::Nonsense),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", true, Parsed::Nonsense),
            ("HTTP/1.1 OK\r\n\r\n", true, Parsed::Nonsense),
            ("HTT", false, Parsed::More),
            ("", true, Parsed::More),
            ("SSH-2.0-OpenSSH_9.2\r\n", false, Parsed::Nonsense),
            ("\u{15}\u{3}\u{1}", false, Parsed::Nonsense),
        ];
        for (text, ended, expected) in table {
            assert_eq!(parse(text.as_bytes(), ended), expected, "{text:?}");
        }
    }
}
