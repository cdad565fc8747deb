//! A list in which one field cannot be read: the SDK refuses the whole page, and with it everything else in it. Here the
//! fields that it cannot read are taken out, and the page is read again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::config::interceptors::FinalizerInterceptorContextMut;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse as _, SharedResponseDeserializer};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// The lists that we read, by their elements (`xmlName`s of the EC2 API model). Answers to effects are not among them: what
/// cannot be read there must be looked for.
const LISTS: [&str; 5] = ["reservationSet", "imagesSet", "snapshotSet", "instanceStatusSet", "volumeSet"];
/// Of these we think the worse if they cannot be read: that a disk is encrypted, that an instance hibernates. We use no
/// other field that is not text.
const WORSE: [&str; 2] = ["encrypted", "configured"];
/// A page has a handful of them, or is no page of EC2.
const UNREAD_MAX: usize = 10_000;

/// Reads what can be read of a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Salvage {
    /// The fields that were named in the log.
    said: Arc<Mutex<BTreeSet<String>>>,
}

impl Intercept for Salvage {
    fn name(&self) -> &'static str {
        "Salvage"
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let failed = context.output_or_error().is_some_and(|end| end.is_err());
        let Some(answer) = context.response().filter(|answer| failed && answer.status().as_u16() == 200) else {
            return Ok(());
        };
        let (Some(text), Some(reader)) = (
            answer.body().bytes().and_then(|body| std::str::from_utf8(body).ok()),
            config.load::<SharedResponseDeserializer>(),
        ) else {
            return Ok(());
        };
        let read = |text: String| read(reader, text, config);
        let Some((better, unread)) = without_unreadable(text, |text| read(text).is_some()) else { return Ok(()) };
        let (Some(output), Some(end)) = (read(better), context.output_or_error_mut()) else { return Ok(()) };
        *end = Ok(output);
        self.say(unread);
        Ok(())
    }
}

impl Salvage {
    /// Each field once.
    fn say(&self, unread: Vec<String>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for field in unread {
            if said.insert(field.clone()) {
                tracing::warn!(
                    event = "cloud.unread",
                    field,
                    "a field of an answer of AWS cannot be read; all else is used: update stillframe"
                );
            }
        }
    }
}

type Output = aws_smithy_runtime_api::client::interceptors::context::Output;

fn read(reader: &SharedResponseDeserializer, text: String, config: &ConfigBag) -> Option<Output> {
    let ok = StatusCode::try_from(200).ok()?;
    reader.deserialize_nonstreaming_with_config(&HttpResponse::new(ok, SdkBody::from(text)), config).ok()
}

/// An element, by where it is in the text.
struct Element<'a> {
    name: &'a str,
    /// Its whole text, the tags included.
    whole: (usize, usize),
    /// The end of its first tag, and the beginning of its last.
    inside: (usize, usize),
    children: Vec<Element<'a>>,
}

/// A list without the fields that are not `readable`, and their names; nothing if it is no list of ours, or nothing helps.
fn without_unreadable(text: &str, readable: impl Fn(String) -> bool) -> Option<(String, Vec<String>)> {
    let root = tree(text)?;
    if !root.children.iter().any(|child| LISTS.contains(&child.name)) {
        return None;
    }
    let mut found = Vec::new();
    unreadable(text, &mut Vec::new(), &root, &readable, &mut found);
    if found.is_empty() || found.len() > UNREAD_MAX {
        return None;
    }
    let (mut better, mut at, mut names) = (String::with_capacity(text.len()), 0, Vec::new());
    for (field, (from, to)) in found {
        better.push_str(&text[at..from]);
        if let Some(name) = WORSE.iter().find(|name| field.rsplit('.').next() == Some(**name)) {
            better.push_str(&format!("<{name}>true</{name}>"));
        }
        at = to;
        names.push(field);
    }
    better.push_str(&text[at..]);
    Some((better, names))
}

/// The smallest elements within `element` that cannot be read although all around them can, in their order.
fn unreadable<'a>(
    text: &'a str,
    above: &mut Vec<&'a Element<'a>>,
    element: &'a Element<'a>,
    readable: &impl Fn(String) -> bool,
    found: &mut Vec<(String, (usize, usize))>,
) {
    let mut alone: String = above.iter().map(|outer| &text[outer.whole.0..outer.inside.0]).collect();
    alone.push_str(&text[element.whole.0..element.whole.1]);
    alone.extend(above.iter().rev().map(|outer| &text[outer.inside.1..outer.whole.1]));
    if found.len() > UNREAD_MAX || readable(alone) {
        return;
    }
    let before = found.len();
    above.push(element);
    for child in &element.children {
        unreadable(text, above, child, readable, found);
    }
    above.pop();
    // The root itself is the answer: without it there is none.
    if found.len() == before && !above.is_empty() {
        let names = above.iter().skip(1).chain([&element]).map(|of| of.name).filter(|name| *name != "item");
        found.push((names.collect::<Vec<_>>().join("."), element.whole));
    }
}

/// The elements of a document; nothing if it is none.
fn tree(text: &str) -> Option<Element<'_>> {
    let mut open: Vec<Element<'_>> = Vec::new();
    for token in Tokenizer::from(text) {
        match token.ok()? {
            Token::ElementStart { local, span, .. } => {
                let at = (span.start(), span.end());
                open.push(Element { name: local.as_str(), whole: at, inside: at, children: Vec::new() });
            }
            Token::ElementEnd { end: ElementEnd::Open, span } => open.last_mut()?.inside.0 = span.end(),
            Token::ElementEnd { end, span } => {
                let mut done = open.pop()?;
                done.whole.1 = span.end();
                done.inside.1 = span.start();
                if end == ElementEnd::Empty {
                    // Nothing can be within it, so it is never opened and closed around something.
                    done.inside = (span.end(), span.end());
                }
                match open.last_mut() {
                    Some(outer) => outer.children.push(done),
                    None => return Some(done),
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader for whom each `n` is a number.
    fn reads(text: &str) -> bool {
        text.split("<n>").skip(1).all(|rest| rest.split('<').next().is_some_and(|number| number.parse::<u8>().is_ok()))
    }

    fn better(text: &str) -> Option<(String, Vec<String>)> {
        without_unreadable(text, |text| reads(&text))
    }

    #[test]
    fn only_what_cannot_be_read_is_taken_out() {
        let page = |first: &str| {
            format!(
                "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><requestId>1</requestId><imagesSet><item><id>a</id>{first}</item>\
                 <item><id>b</id><n>2</n><none/></item></imagesSet><nextToken>t</nextToken></R>"
            )
        };
        let (text, names) = better(&page("<m><n>many</n><k>v</k></m><n>x</n>")).expect("better");
        assert_eq!((text, names), (page("<m><k>v</k></m>"), vec!["imagesSet.m.n".into(), "imagesSet.n".into()]));
        assert_eq!(better(&page("<n>1</n>")), None, "nothing is wrong with it");
        assert_eq!(better("<R><return>maybe</return><n>x</n></R>"), None, "no list");
        assert_eq!(better("<R><imagesSet><item><n>x</n></item>"), None, "cut short");
        assert_eq!(better("{}"), None);
    }

    #[test]
    fn of_what_decides_the_worse_is_thought() {
        let text = "<R><volumeSet><item><encrypted>perhaps</encrypted></item></volumeSet></R>";
        let (text, _) = without_unreadable(text, |text| !text.contains("perhaps")).expect("better");
        assert_eq!(text, "<R><volumeSet><item><encrypted>true</encrypted></item></volumeSet></R>");
    }
}
