//! What is said of copies and shares before anything is done: the table of encryption, the verdicts, the policies.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use stillframe::domain::copying::outcome::{Kind, Parameters, outcome};
use stillframe::domain::copying::statement;
use stillframe::domain::copying::{
    Described, Destination, Disk, Encryption, Key, ShareVerdict, Source, Verdict, copy, share,
};
use stillframe::domain::plan::Share;
use stillframe::domain::sharing::Grantee;

const OWN: &str = "111111111111";
const DR: &str = "222222222222";
const ORGANIZATION: &str = "arn:aws:organizations::999999999999:organization/o-abc";
const UNIT: &str = "arn:aws:organizations::999999999999:ou/o-abc/ou-abcd-12345678";

fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

/// A key that is fine, called by its last letter.
fn key(letter: &str, account: &str, region: &str) -> Key {
    let partition = if region.starts_with("cn-") { "aws-cn" } else { "aws" };
    Key {
        arn: format!("arn:{partition}:kms:{region}:{account}:key/{letter}"),
        aws_managed: false,
        state: "Enabled".into(),
        symmetric: true,
    }
}

fn mine(letter: &str) -> Encryption {
    Encryption::Key(key(letter, OWN, "eu-central-1"))
}

fn aws_managed() -> Encryption {
    Encryption::Key(Key { aws_managed: true, ..key("aws-ebs", OWN, "eu-central-1") })
}

fn of_others() -> Encryption {
    Encryption::Key(key("theirs", "555555555555", "eu-central-1"))
}

fn unread() -> Encryption {
    let arn = key("closed", OWN, "eu-central-1").arn;
    Encryption::Unread { arn, why: "AccessDeniedException: not authorized to perform kms:DescribeKey".into() }
}

/// An image in eu-central-1 with these disks.
fn source(disks: &[Encryption]) -> Source {
    let disk =
        |(nth, encryption): (usize, &Encryption)| Disk { id: format!("snap-{nth}"), encryption: encryption.clone() };
    Source {
        id: "ami-1".into(),
        account: OWN.into(),
        region: "eu-central-1".into(),
        disks: disks.iter().enumerate().map(disk).collect(),
        product_codes: false,
    }
}

/// eu-west-1, of this account or another.
fn to(account: Option<&str>) -> Destination {
    Destination {
        name: account.map(|_| "dr".into()),
        account: account.unwrap_or(OWN).into(),
        region: "eu-west-1".into(),
        key: None,
        default_key: Some(Ok("alias/aws/ebs".into())),
        via: None,
        providers: None,
    }
}

fn backup_key(account: Option<&str>) -> (String, Described) {
    ("alias/backup".into(), Ok(key("backup", account.unwrap_or(OWN), "eu-west-1")))
}

fn share_key() -> (String, Described) {
    ("alias/share".into(), Ok(key("share", OWN, "eu-central-1")))
}

fn list(reasons: &[String]) -> String {
    reasons.iter().fold(String::new(), |all, reason| all + "\n    - " + reason)
}

fn set(keys: &BTreeSet<String>) -> String {
    keys.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Go(way) => {
            let mut text = match (&way.kms_key, way.encrypted) {
                (Some(key), true) => format!("go: Encrypted=true, KmsKeyId={key}"),
                (None, false) => "go: without parameters".to_owned(),
                other => panic!("a key and encryption go together: {other:?}"),
            };
            if let Some(via) = &way.via {
                write!(text, "\n    first a copy under {via}").unwrap();
            }
            if way.lend {
                write!(text, "\n    lend: image, every snapshot").unwrap();
                assert!(way.via.is_none() || way.keys.len() == 1, "the copy on the way has one key");
                write!(text, "{}", if way.keys.is_empty() { String::new() } else { format!(", {}", set(&way.keys)) })
                    .unwrap();
            }
            assert!(way.lend || way.keys.is_empty() && way.via.is_none(), "nothing is lent to oneself");
            text
        }
        Verdict::Needless(why) => format!("needless: {why}"),
        Verdict::NotNow(why) => format!("not now:{}", list(why)),
        Verdict::Never(why) => format!("never:{}", list(why)),
    }
}

fn shown_share(verdict: &ShareVerdict) -> String {
    match verdict {
        ShareVerdict::Go { snapshots, via, keys, by_policy } => {
            let mut text = format!("go: image{}", if *snapshots { ", every snapshot" } else { "" });
            if let Some(via) = via {
                write!(text, "\n    first a copy under {via}").unwrap();
            }
            if !keys.is_empty() {
                write!(text, "\n    keys: {}", set(keys)).unwrap();
            }
            if !by_policy.is_empty() {
                write!(text, "\n    by policy only:{}", list(by_policy)).unwrap();
            }
            text
        }
        ShareVerdict::NotNow(why) => format!("not now:{}", list(why)),
        ShareVerdict::Never(why) => format!("never:{}", list(why)),
    }
}

#[test]
fn the_table_of_encryption() {
    let sources = [
        ("unencrypted", Kind::Unencrypted, Encryption::None),
        ("own key", Kind::OwnKey, mine("a")),
        ("AWS-managed key", Kind::AwsManaged, aws_managed()),
        ("shared with me", Kind::SharedWithMe, of_others()),
    ];
    let parameters = [
        ("no parameters", Parameters::None),
        ("Encrypted", Parameters::Encrypted),
        ("Encrypted, KmsKeyId", Parameters::Key),
        ("KmsKeyId without Encrypted", Parameters::KeyWithoutEncrypted),
        ("Encrypted=false", Parameters::Unencrypted),
    ];
    let mut all = "# What AWS makes of it\n".to_owned();
    for (source, kind, _) in &sources {
        for (name, parameters) in parameters {
            let became = match outcome(*kind, parameters) {
                Ok(under) => under.as_str().to_owned(),
                Err(refused) => format!("refused: {}", refused.as_str()),
            };
            writeln!(all, "{source} | {name} | {became}").unwrap();
        }
    }
    all.push_str("\n# What stillframe does\n");
    for (name, kind, encryption) in &sources {
        for account in [None, Some(DR)] {
            for kms_key in [false, true] {
                for via in [false, true] {
                    if via && account.is_none() {
                        continue; // refused when the plan is read
                    }
                    let to = Destination {
                        key: kms_key.then(|| backup_key(account)),
                        via: via.then(share_key),
                        ..to(account)
                    };
                    let verdict = copy(&source(std::slice::from_ref(encryption)), &to);
                    let whose = if account.is_some() { "to another account" } else { "to another region" };
                    let with = [(kms_key, "kms_key"), (via, "via_key")].into_iter().filter(|(is, _)| *is);
                    let with: Vec<&str> = with.map(|(_, word)| word).collect();
                    let with = if with.is_empty() { "no key".to_owned() } else { with.join(", ") };
                    writeln!(all, "{name} | {whose} | {with} | {}", shown(&verdict)).unwrap();
                    // Whatever is sent is no cell that AWS refuses, and never one that differs from place to place.
                    if let Verdict::Go(way) = &verdict {
                        let sent = if way.encrypted { Parameters::Key } else { Parameters::None };
                        assert!(outcome(*kind, sent).is_ok());
                        assert!(way.encrypted || *kind == Kind::Unencrypted, "{name}: by default is not good enough");
                    }
                }
            }
        }
    }
    golden("encryption", &all);
}

#[test]
fn verdicts_on_copies() {
    let dr = || to(Some(DR));
    let with_key = |change: &dyn Fn(&mut Key)| {
        let mut key = key("backup", DR, "eu-west-1");
        change(&mut key);
        Destination { key: Some(("alias/backup".into(), Ok(key))), ..dr() }
    };
    let with_via = |change: &dyn Fn(&mut Key)| {
        let mut key = key("share", OWN, "eu-central-1");
        change(&mut key);
        Destination { via: Some(("alias/share".into(), Ok(key))), ..dr() }
    };
    let denied = || Err("AccessDeniedException: not authorized to perform kms:DescribeKey".to_owned());
    let asleep = |state: &str| Encryption::Key(Key { state: state.into(), ..key("a", OWN, "eu-central-1") });
    let marketplace = |disks: &[Encryption]| Source { product_codes: true, ..source(disks) };
    let state = |state: &'static str| move |key: &mut Key| key.state = state.into();
    let here = Destination { region: "eu-central-1".into(), ..to(None) };
    let there = Destination { region: "eu-central-1".into(), ..dr() };
    let china = Destination { region: "cn-north-1".into(), ..to(None) };
    let seeing = |providers: &[&str]| Destination {
        providers: Some(providers.iter().map(|provider| (*provider).to_owned()).collect()),
        ..dr()
    };
    let rows: Vec<(&str, Source, Destination)> = vec![
        ("two disks, one encrypted", source(&[Encryption::None, mine("a")]), to(None)),
        ("two disks, two keys, lent", source(&[mine("a"), mine("b"), mine("a")]), dr()),
        ("to where it is", source(&[mine("a")]), here),
        ("to another account in the same region", source(&[mine("a")]), there),
        ("to another partition", source(&[Encryption::None]), china),
        ("product codes, same account", marketplace(&[Encryption::None]), to(None)),
        ("product codes, another account", marketplace(&[Encryption::None]), dr()),
        ("AWS-managed key on one disk of three", source(&[mine("a"), aws_managed(), aws_managed()]), dr()),
        ("the same with a key on the way", source(&[mine("a"), aws_managed(), aws_managed()]), with_via(&|_| {})),
        ("a key on the way that is not needed", source(&[mine("a")]), with_via(&|_| {})),
        ("a key that cannot be read, same account", source(&[unread()]), to(None)),
        ("a key that cannot be read, lent", source(&[unread()]), dr()),
        ("a key that cannot be read, with a key on the way", source(&[unread()]), with_via(&|_| {})),
        ("a disabled key of a disk, same account", source(&[asleep("Disabled")]), to(None)),
        ("a key of a disk about to be deleted, lent", source(&[asleep("PendingDeletion")]), dr()),
        ("a disabled key of the destination", source(&[mine("a")]), with_key(&state("Disabled"))),
        ("a key of the destination about to be deleted", source(&[mine("a")]), with_key(&state("PendingDeletion"))),
        ("a key of the destination in an odd state", source(&[mine("a")]), with_key(&state("Dreaming"))),
        ("an asymmetric key of the destination", source(&[mine("a")]), with_key(&|key| key.symmetric = false)),
        (
            "a key of another region than the destination",
            source(&[mine("a")]),
            with_key(&|key| key.arn = key.arn.replace("eu-west-1", "eu-west-2")),
        ),
        (
            "a key of the destination that cannot be read",
            source(&[mine("a")]),
            Destination { key: Some(("alias/backup".into(), denied())), ..dr() },
        ),
        (
            "a default key that cannot be read",
            source(&[mine("a")]),
            Destination { default_key: Some(Err("UnauthorizedOperation".into())), ..dr() },
        ),
        ("a default key that was not looked up", source(&[mine("a")]), Destination { default_key: None, ..to(None) }),
        (
            "nothing encrypted, no default key",
            source(&[Encryption::None]),
            Destination { default_key: None, ..to(None) },
        ),
        ("a disabled key on the way", source(&[aws_managed()]), with_via(&state("Disabled"))),
        ("an asymmetric key on the way", source(&[aws_managed()]), with_via(&|key| key.symmetric = false)),
        ("a key on the way that AWS manages", source(&[aws_managed()]), with_via(&|key| key.aws_managed = true)),
        (
            "a key on the way in another region",
            source(&[aws_managed()]),
            with_via(&|key| key.arn = key.arn.replace("eu-central-1", "eu-west-1")),
        ),
        (
            "a key on the way of another account",
            source(&[aws_managed()]),
            with_via(&|key| key.arn = key.arn.replace(OWN, DR)),
        ),
        (
            "a key on the way that cannot be read",
            source(&[aws_managed()]),
            Destination { via: Some(("alias/share".into(), denied())), ..dr() },
        ),
        ("hidden by the Allowed AMIs setting", source(&[mine("a")]), seeing(&["amazon", "aws-marketplace"])),
        ("seen by the Allowed AMIs setting", source(&[mine("a")]), seeing(&["amazon", OWN])),
        ("an Allowed AMIs setting that names nobody", source(&[mine("a")]), seeing(&[])),
        ("what can never be comes before what may pass", marketplace(&[aws_managed()]), with_key(&state("Disabled"))),
        ("no disks", source(&[]), dr()),
    ];
    let all = rows
        .iter()
        .fold(String::new(), |all, (title, source, to)| format!("{all}## {title}\n{}\n\n", shown(&copy(source, to))));
    golden("verdicts_on_copies", &all);
}

#[test]
fn verdicts_on_shares() {
    let with = |accounts: &[&str], organizations: &[&str], units: &[&str]| {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Share {
            accounts: set(accounts),
            organizations: set(organizations),
            organizational_units: set(units),
            snapshots: true,
            grace: 7 * 86_400,
            via_key: None,
        }
    };
    let one = || with(&["333333333333"], &[], &[]);
    let three = || with(&["333333333333"], &[ORGANIZATION], &[UNIT]);
    let disabled = Encryption::Key(Key { state: "Disabled".into(), ..key("a", OWN, "eu-central-1") });
    let asleep = ("alias/share".to_owned(), Ok(Key { state: "Disabled".into(), ..key("share", OWN, "eu-central-1") }));
    type Row = (&'static str, Source, Share, Option<(String, Described)>);
    let rows: Vec<Row> = vec![
        ("unencrypted, an account", source(&[Encryption::None]), one(), None),
        ("unencrypted, launch only", source(&[Encryption::None]), Share { snapshots: false, ..one() }, None),
        ("unencrypted, an organization", source(&[Encryption::None]), with(&[], &[ORGANIZATION], &[]), None),
        ("own keys, an account", source(&[mine("a"), mine("b")]), one(), None),
        ("own key, all three kinds", source(&[mine("a")]), three(), None),
        ("own key, a key on the way that is not needed", source(&[mine("a")]), one(), Some(share_key())),
        ("AWS-managed key, an account", source(&[aws_managed()]), one(), None),
        ("AWS-managed key, an organization", source(&[aws_managed()]), with(&[], &[ORGANIZATION], &[]), None),
        ("AWS-managed key, several", source(&[aws_managed()]), three(), None),
        ("AWS-managed key, with a key on the way", source(&[aws_managed()]), three(), Some(share_key())),
        ("AWS-managed key, the key on the way disabled", source(&[aws_managed()]), one(), Some(asleep)),
        ("a key that cannot be read", source(&[unread()]), one(), None),
        ("a disabled key", source(&[disabled]), one(), None),
        ("product codes", Source { product_codes: true, ..source(&[Encryption::None]) }, one(), None),
        ("with its own account only", source(&[aws_managed()]), with(&[OWN], &[], &[]), None),
    ];
    let all = rows.iter().fold(String::new(), |all, (title, source, wanted, via)| {
        format!("{all}## {title}\n{}\n\n", shown_share(&share(source, wanted, via.as_ref())))
    });
    golden("verdicts_on_shares", &all);
}

#[test]
fn policies_to_paste() {
    let many = |statements: Vec<String>| statements.join("\n");
    let rows = [
        ("of a key, for an organization", many(statement::of_members(&Grantee::Organization(ORGANIZATION.into())))),
        ("of a key, for a unit", many(statement::of_members(&Grantee::Unit(UNIT.into())))),
        ("of a key, for an account", many(statement::of_members(&Grantee::Account(DR.into())))),
    ];
    let all = rows.iter().fold(String::new(), |all, (title, text)| format!("{all}## {title}\n{text}\n\n"));
    golden("policies", &all);
    for line in all.lines().filter(|line| line.starts_with('{')) {
        let statement: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(statement["Effect"] == "Allow", "{line}");
    }
}
