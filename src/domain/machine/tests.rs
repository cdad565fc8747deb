//! Witnesses x answers -> verdict.

use super::*;

const A: &str = "i-0aaaaaaaaaaaaaaaa";
const B: &str = "i-0bbbbbbbbbbbbbbbb";

fn texts(hardware: &str) -> Texts {
    let text = |vendor: &str, bios: &str, tag: &str, hypervisor: &str| Texts {
        board_asset_tag: tag.into(),
        sys_vendor: vendor.into(),
        bios_version: bios.into(),
        hypervisor_uuid: hypervisor.into(),
    };
    match hardware {
        "-" => text("", "", "", ""),
        "other" => text("QEMU", "1.16", "Not Specified", ""),
        "ec2" => text("Amazon EC2", "1.0", "", ""),
        "xen" => text("Xen", "4.11.amazon", "", ""),
        "paravirtual" => text("", "", "", "EC2F0000-0000-0000-0000-000000000000"),
        "elsewhere" => text("", "", "", "1ec20000-0000-0000-0000-000000000000"),
        id => text("Amazon EC2", "1.0", id, ""),
    }
}

#[test]
fn the_witnesses_decide() {
    // The metadata service, the hardware, the record, the caller; `?` is somebody who does not say which, `-` nobody.
    // The verdict: an id, `no`, or what the doubt says.
    let table = [
        // Who knows at first hand.
        (A, "-", "-", "-", A),
        (A, "other", "-", "-", A),
        (A, B, B, B, A),
        ("-", B, "-", "-", B),
        ("?", B, A, A, B),
        ("-", "I-0BBBBBBBBBBBBBBBB", "-", "-", B),
        // Somebody answers, however wrongly: it may be EC2.
        ("?", "-", "-", "-", "may be EC2"),
        ("?", "other", "-", "-", "may be EC2"),
        ("?", "ec2", "-", "-", "may be EC2"),
        ("?", "-", A, "-", A),
        ("?", "-", "-", A, A),
        ("?", "other", A, "-", A),
        ("?", "-", A, A, A),
        ("?", "-", A, B, "belongs to i-0aaaaaaaaaaaaaaaa, and the credentials are those of i-0bbbbbbbbbbbbbbbb"),
        // Nobody answers: hardware, record and caller decide.
        ("-", "-", "-", "-", "no DMI"),
        ("-", "other", "-", "-", "no"),
        ("-", "elsewhere", "-", "-", "no"),
        ("-", "ec2", "-", "-", "looks like EC2"),
        ("-", "xen", "-", "-", "looks like EC2"),
        ("-", "paravirtual", "-", "-", "looks like EC2"),
        ("-", "-", A, "-", A),
        ("-", "ec2", A, "-", A),
        ("-", "other", A, "-", A),
        ("-", "-", "-", B, B),
        ("-", "ec2", "-", B, B),
        ("-", "other", "-", B, B),
        ("-", "-", A, B, "belongs to"),
        ("-", "other", A, B, "belongs to"),
    ];
    for (metadata, hardware, recorded, caller, expected) in table {
        let sighting = Sighting {
            configured: None,
            metadata: match metadata {
                "?" => Metadata::Somebody("it answered 404".into()),
                "-" => Metadata::Nobody("no connection".into()),
                id => Metadata::Instance(id.into()),
            },
            texts: texts(hardware),
        };
        let id = |text: &'static str| (text != "-").then_some(text);
        let case = format!("{metadata} {hardware} {recorded} {caller}");
        match sighting.verdict(id(recorded), id(caller)) {
            OwnMachine::Instance(id) => assert_eq!(id, expected, "{case}"),
            OwnMachine::NotEc2 => assert_eq!("no", expected, "{case}"),
            OwnMachine::Unknown(why) => assert!(expected.len() > 2 && why.contains(expected), "{case}: {why}"),
        }
        for settled in [OwnMachine::NotEc2, OwnMachine::Instance(B.into())] {
            let configured = Sighting { configured: Some(settled.clone()), ..sighting.clone() };
            assert_eq!(configured.verdict(id(recorded), id(caller)), settled, "{case}: the settings settle it");
            assert!(!configured.leaves_doubt());
        }
    }
}

#[test]
fn a_doubt_says_what_to_do() {
    let why = OwnMachine::Unknown("nobody knows".into()).forbids(A).unwrap();
    for part in ["nobody knows", "daemon.instance", "\"none\"", "stillframe.toml"] {
        assert!(why.reason.contains(part), "{part:?} is not in {why}");
    }
    assert!(matches!(Sighting::unasked().at_first_hand(), OwnMachine::Unknown(_)));
    assert_eq!(Sighting::simulated().verdict(Some(A), Some(B)), OwnMachine::NotEc2);
}

#[test]
fn an_id_is_one_or_none() {
    let table = [
        ("i-0123456789abcdef0", true),
        ("i-01234567", true),
        (" I-0123456789ABCDEF0\n", true),
        ("i-0123456789abcdef", false),
        ("i-0123456789abcdeg0", false),
        ("mi-0123456789abcdef0", false),
        ("", false),
        ("<html>", false),
    ];
    for (text, is) in table {
        assert_eq!(instance_id(text), is.then(|| text.trim().to_ascii_lowercase()), "{text:?}");
    }
}

#[test]
fn the_caller_may_be_an_instance() {
    let table = [
        ("arn:aws:sts::111111111111:assumed-role/stillframe/i-0aaaaaaaaaaaaaaaa", Some(A)),
        ("arn:aws-cn:sts::111111111111:assumed-role/stillframe/i-0aaaaaaaaaaaaaaaa", Some(A)),
        ("arn:aws:sts::111111111111:assumed-role/stillframe/someone@example.com", None),
        ("arn:aws:sts::111111111111:assumed-role/i-0aaaaaaaaaaaaaaaa/someone", None),
        ("arn:aws:iam::111111111111:user/i-0aaaaaaaaaaaaaaaa", None),
        ("arn:aws:iam::111111111111:root", None),
        ("", None),
    ];
    for (arn, expected) in table {
        assert_eq!(instance_of_caller(arn).as_deref(), expected, "{arn}");
    }
}
