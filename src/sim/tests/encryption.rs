//! What copies are encrypted under, and which keys fail them.

use super::*;
use crate::sim::account::Settings;
use crate::sim::keyring::of_arn;
use crate::sim::served::{GetEbsDefaultKmsKeyId, GetEbsEncryptionByDefault, Given, Listed as _};

/// The keys of an image's snapshots, each by whose it is, where, and its alias.
fn keys(rig: &Rig, image: &str) -> String {
    let name = |id: &String| match &rig.world.snapshots[id].key {
        None => "none".to_owned(),
        Some(arn) => {
            let (place, _) = of_arn(arn).unwrap();
            let alias = rig.world.find_key(&place, arn).and_then(|key| key.alias);
            format!("{} {} {}", &place.account[..1], place.region, alias.as_deref().unwrap_or(arn))
        }
    };
    let all: Vec<String> = rig.snapshots_of(image).iter().map(name).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
    all[0].clone()
}

const DEPENDENCY: &str = "InvalidParameterDependency";

/// User guide (2023), the table of CopyImage; its last column is the world with encryption by default.
#[test]
fn the_whole_table() {
    let none = (None, None);
    let encrypted = (Some(true), None);
    let plainly = (Some(false), None);
    let with_key = |key| (Some(true), Some(key));
    let alone = (None, Some("alias/own"));
    let (own, open, ebs) = ("1 eu-central-1 alias/own", "1 eu-central-1 alias/open", "1 eu-central-1 alias/aws/ebs");
    let (given, theirs) = ("2 eu-central-1 alias/theirs", "2 eu-central-1 alias/aws/ebs");
    // (source, by whom, Encrypted and KmsKeyId, under which key, and where encryption by default is on)
    let table = [
        ("plain", OWNER, none, "none", ebs),
        ("plain", OWNER, plainly, "none", ebs),
        ("plain", OWNER, encrypted, ebs, ebs),
        ("plain", OWNER, with_key("alias/own"), own, own),
        ("plain", OWNER, alone, DEPENDENCY, DEPENDENCY),
        ("own", OWNER, none, own, own),
        ("own", OWNER, plainly, "InvalidRequest", "InvalidRequest"),
        ("own", OWNER, encrypted, own, own),
        ("own", OWNER, with_key("alias/open"), open, open),
        ("own", OWNER, alone, DEPENDENCY, DEPENDENCY),
        ("managed", OWNER, none, ebs, ebs),
        ("managed", OWNER, plainly, "InvalidRequest", "InvalidRequest"),
        ("managed", OWNER, encrypted, ebs, ebs),
        ("managed", OWNER, with_key("alias/own"), own, own),
        ("managed", OWNER, alone, DEPENDENCY, DEPENDENCY),
        ("open", THEIRS, none, theirs, theirs),
        ("open", THEIRS, plainly, "InvalidRequest", "InvalidRequest"),
        ("open", THEIRS, encrypted, theirs, theirs),
        ("open", THEIRS, with_key("alias/theirs"), given, given),
        ("open", THEIRS, alone, DEPENDENCY, DEPENDENCY),
        ("plain", THEIRS, none, "none", theirs),
        ("plain", THEIRS, encrypted, theirs, theirs),
        ("plain", THEIRS, with_key("alias/theirs"), given, given),
    ];
    for (source, by, (encrypted, kms_key), want, want_by_default) in table {
        for (by_default, want) in [(false, want), (true, want_by_default)] {
            let mut rig = several_with(|fleet| {
                let settings = Settings { encrypts_by_default: by_default, ..Settings::default() };
                let regions = std::collections::BTreeMap::from([(REGION.to_owned(), settings)]);
                fleet.accounts[0].regions = regions.clone();
                fleet.accounts.push(SimAccount { id: OWNER.into(), regions, ..SimAccount::default() });
            });
            let image = rig.ready(source);
            if by == THEIRS {
                rig.lend(&image);
            }
            let caller = if by == THEIRS { role() } else { Caller::new(by) };
            let action = copy(&image, "copy", encrypted, kms_key);
            let got = match rig.by(&caller, REGION, &action) {
                Err(error) => error.code,
                Ok(Answer::Image(id)) => {
                    assert_eq!(rig.outcome(&id), "available", "{source} {action:?}");
                    keys(&rig, &id)
                }
                Ok(other) => panic!("{other:?}"),
            };
            assert_eq!(got, want, "{source} by {by}, {encrypted:?} {kms_key:?}, by default {by_default}");
        }
    }
}

#[test]
fn a_default_key_that_somebody_set_is_the_default() {
    let mut rig = several_with(|fleet| {
        let settings = Settings { default_key: Some("alias/theirs".into()), ..Settings::default() };
        fleet.accounts[0].regions.insert(REGION.into(), settings);
    });
    let image = rig.ready("open");
    rig.lend(&image);
    let made = rig.copied(&role(), REGION, &copy(&image, "copy", None, None));
    assert_eq!(keys(&rig, &made), "2 eu-central-1 alias/theirs");
    let arn = rig.key(THEIRS, REGION, "alias/theirs");
    let ask = Action::Served(GetEbsDefaultKmsKeyId.request());
    assert_eq!(rig.by(&role(), REGION, &ask), Ok(Answer::Served(Given::GetEbsDefaultKmsKeyId(arn))));
    assert_eq!(rig.by(&role(), AWAY, &ask), Ok(Answer::Served(Given::GetEbsDefaultKmsKeyId("alias/aws/ebs".into()))));
    assert_eq!(
        rig.by(&role(), REGION, &Action::Served(GetEbsEncryptionByDefault.request())),
        Ok(Answer::Served(Given::GetEbsEncryptionByDefault(false)))
    );
}

/// KMS is asked only while the copy is made: each is taken, pending, and ends failed with its reason.
#[test]
fn a_bad_key_fails_late() {
    let none = None;
    let away = several().key(THEIRS, AWAY, "alias/theirs");
    let table = [
        ("plain", REGION, Some("alias/none"), "NotFound: The KMS key alias/none does not exist"),
        ("plain", REGION, Some(away.as_str()), "is in another region"),
        ("plain", REGION, Some("alias/off"), "InvalidState"),
        ("plain", REGION, Some("alias/rsa"), "InvalidState"),
        ("plain", REGION, Some("alias/locked"), "stillframe-test may not kms:CreateGrant"),
        ("own", REGION, Some("alias/theirs"), "alias/own cannot be used"),
        ("plain", AWAY, Some("alias/theirs"), "available"),
        ("open", AWAY, none, "available"),
    ];
    for (source, region, kms_key, want) in table {
        let mut rig = several();
        let image = rig.ready(source);
        rig.lend(&image);
        let made = rig.copied(&role(), region, &copy(&image, "copy", kms_key.map(|_| true), kms_key));
        assert_eq!(rig.image_state(&made), ImageState::Pending, "{want}");
        let own = rig.key(OWNER, REGION, "alias/own");
        let want = want.replace("alias/own", &own);
        let got = rig.outcome(&made);
        assert!(got.contains(&want), "{source} under {kms_key:?} in {region}: {got}, not {want}");
        rig.wait(60);
        let snapshot = rig.snapshots_of(&made)[0].clone();
        let state = rig.world.snapshots[&snapshot].state(rig.now);
        assert_eq!(state, if want == "available" { "completed" } else { "error" });
    }
    // "Same key" in another region.
    let mut rig = several();
    let image = rig.ready("own");
    let made = rig.copied(&Caller::new(OWNER), AWAY, &copy(&image, "copy", None, None));
    assert!(rig.outcome(&made).contains("is in another region"));
    let made = rig.copied(&Caller::new(OWNER), AWAY, &copy(&image, "again", Some(true), Some("alias/own")));
    assert_eq!(rig.outcome(&made), "available");
}
