//! Writing documents as the EC2 and STS Query protocols do; `shapes` writes the objects in them.

use std::fmt::{Display, Write as _};

use super::action::Action;
use super::answer::{Answer, Page};
use super::error::ApiError;
use super::session;
use super::shapes::{change, grantee, image, reservation, snapshot, state_code, status, volume};
use crate::domain::naming::rfc3339;
use crate::domain::observed::{InstanceState, Tags};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const EC2: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// A document under construction.
pub struct Xml(String);

impl Xml {
    pub(super) fn leaf(&mut self, name: &str, value: impl Display) {
        self.node(name, |xml| xml.text(&value.to_string()));
    }

    pub(super) fn node(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
        inside(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Self)) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{HEAD}<{name} xmlns=\"{namespace}\">");
        inside(self);
        let _ = write!(self.0, "</{name}>");
    }

    pub(super) fn set<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.node(name, |xml| {
            for one in items {
                xml.node("item", |xml| item(xml, one));
            }
        });
    }

    /// Items that are words.
    pub(super) fn list(&mut self, name: &str, words: &[String]) {
        self.node(name, |xml| words.iter().for_each(|word| xml.leaf("item", word)));
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#13;"),
                // XML 1.0 has no other control characters.
                c if c.is_control() && c != '\n' && c != '\t' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }

    pub(super) fn tags(&mut self, tags: &Tags) {
        self.set("tagSet", tags, |xml, (key, value)| {
            xml.leaf("key", key);
            xml.leaf("value", value);
        });
    }

    fn page<T>(&mut self, name: &str, page: &Page<T>, item: impl FnMut(&mut Self, &T)) {
        self.set(name, &page.items, item);
        if let Some(token) = &page.next {
            self.leaf("nextToken", token);
        }
    }

    pub(super) fn state(&mut self, name: &str, state: InstanceState) {
        self.state_word(name, state, state.as_str());
    }

    /// The same, under another word.
    pub(super) fn state_word(&mut self, name: &str, state: InstanceState, word: &str) {
        self.node(name, |xml| {
            xml.leaf("code", state_code(state));
            xml.leaf("name", word);
        });
    }
}

/// The document for `answer` to `action`.
#[must_use]
pub fn answer(action: &Action, answer: &Answer, request_id: &str) -> String {
    let mut xml = Xml(String::new());
    let root = format!("{}Response", action.api());
    if let Answer::Identity { account, arn } = answer {
        xml.root(&root, STS, |xml| {
            xml.node("GetCallerIdentityResult", |xml| {
                xml.leaf("Arn", arn);
                xml.leaf("UserId", format!("AIDA{account}SIMULATED"));
                xml.leaf("Account", account);
            });
            xml.node("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
        });
        return xml.0;
    }
    if let (Action::AssumeRole { role, session, .. }, Answer::Session { key, arn, expires }) = (action, answer) {
        xml.root(&root, STS, |xml| {
            xml.node("AssumeRoleResult", |xml| {
                xml.node("Credentials", |xml| {
                    xml.leaf("AccessKeyId", key);
                    xml.leaf("SecretAccessKey", "simulated");
                    xml.leaf("SessionToken", session::token(role, session, *expires));
                    xml.leaf("Expiration", rfc3339(*expires));
                });
                xml.node("AssumedRoleUser", |xml| {
                    xml.leaf("AssumedRoleId", format!("AROASIMULATED:{session}"));
                    xml.leaf("Arn", arn);
                });
            });
            xml.node("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
        });
        return xml.0;
    }
    xml.root(&root, EC2, |xml| {
        xml.leaf("requestId", request_id);
        match answer {
            Answer::Instances(page) => xml.page("reservationSet", page, |xml, seen| {
                reservation(xml, &seen.it.place.account, std::slice::from_ref(seen));
            }),
            Answer::Statuses(page) => xml.page("instanceStatusSet", page, status),
            Answer::Volumes(page) => xml.page("volumeSet", page, volume),
            Answer::Images(page) => xml.page("imagesSet", page, image),
            Answer::Snapshots(page) => xml.page("snapshotSet", page, snapshot),
            Answer::Image(id) => xml.leaf("imageId", id),
            Answer::Deregistered(ends) => {
                xml.leaf("return", true);
                xml.set("deleteSnapshotResultSet", ends, |xml, (id, code)| {
                    xml.leaf("snapshotId", id);
                    xml.leaf("returnCode", code);
                });
            }
            Answer::Changes(changes) => xml.set("instancesSet", changes, change),
            Answer::Launched(instances) => {
                let account = instances.first().map_or("", |seen| seen.it.place.account.as_str());
                reservation(xml, account, instances);
            }
            Answer::Done => xml.leaf("return", true),
            Answer::Permissions(id, lent) => {
                let (of, set) = match action {
                    Action::DescribeSnapshotAttribute { .. } => ("snapshotId", "createVolumePermission"),
                    _ => ("imageId", "launchPermission"),
                };
                xml.leaf(of, id);
                xml.set(set, lent, grantee);
            }
            Answer::Served(given) => given.write(xml),
            Answer::Identity { .. }
            | Answer::Session { .. }
            // Of KMS, which speaks JSON.
            | Answer::Key(_)
            | Answer::KeyPolicy(_)
            | Answer::Grants(..)
            | Answer::Grant(_) => {}
        }
    });
    xml.0
}

/// The error document: EC2's own shape, or that of STS.
#[must_use]
pub fn error(error: &ApiError, request_id: &str, sts: bool) -> String {
    let mut xml = Xml(String::new());
    if sts {
        xml.root("ErrorResponse", STS, |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Type", if error.status < 500 { "Sender" } else { "Receiver" });
                xml.leaf("Code", &error.code);
                xml.leaf("Message", &error.message);
            });
            xml.leaf("RequestId", request_id);
        });
        return xml.0;
    }
    xml.0.push_str(HEAD);
    xml.node("Response", |xml| {
        xml.node("Errors", |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Code", &error.code);
                xml.leaf("Message", &error.message);
            });
        });
        xml.leaf("RequestID", request_id);
    });
    xml.0
}
