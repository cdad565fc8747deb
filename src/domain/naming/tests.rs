//! Tables: each reason for which an image is not ours; what is written is read again.

use proptest::prelude::*;

use super::*;
use crate::domain::observed::ImageState;

const ACCOUNT: &str = "111111111111";
const INSTANCE: &str = "i-0123456789abcdef0";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn marks(role: Role) -> Marks {
    Marks {
        daemon: "prod".into(),
        installation: "11111111-1111-4111-8111-111111111111".into(),
        plan: "web".into(),
        due: at("2026-11-20T02:30:00Z"),
        instance: INSTANCE.into(),
        role,
        source: (role == Role::Copy).then(|| "ami-1".into()),
        consistency: "reboot".into(),
    }
}

/// An image that is ours beyond doubt.
fn ours(role: Role) -> Image {
    let marks = marks(role);
    let name = image_name("prod", "web", INSTANCE, marks.due);
    Image {
        id: "ami-2".into(),
        name: if role == Role::Copy { format!("{name}/1a2b3c") } else { name },
        owner: ACCOUNT.into(),
        state: ImageState::Available,
        state_reason: None,
        created: Some(marks.due),
        odd: None,
        source_instance: (role == Role::Image).then(|| INSTANCE.into()),
        source_image: marks.source.clone(),
        snapshots: vec!["snap-1".into()],
        product_codes: false,
        deprecated: None,
        tags: marks.tags(&Tags::new()).into(),
    }
}

#[test]
fn what_is_ours_is_recognized() {
    for role in [Role::Image, Role::Copy] {
        assert_eq!(ownership(&ours(role), "prod", ACCOUNT), Ownership::Ours(marks(role)));
        let mut edited = ours(role);
        edited.tags.insert("Name".into(), "mine".into());
        edited.tags.insert("Cost".into(), "42".into());
        edited.tags.insert(HOLD_TAG.into(), "audit".into());
        assert_eq!(ownership(&edited, "prod", ACCOUNT), Ownership::Ours(marks(role)), "people may edit their own tags");
    }
}

#[test]
fn each_reason_for_which_an_image_is_not_ours() {
    type Change = fn(&mut Image);
    fn tag(image: &mut Image, key: &str, value: &str) {
        image.tags.insert(format!("{TAG_PREFIX}{key}"), value.into());
    }
    let table: &[(Role, Change, &str)] = &[
        (Role::Image, |i| i.owner = "222222222222".into(), "belongs to account 222222222222"),
        (Role::Image, |i| tag(i, "schema", "2"), "is of schema 2, which this version does not understand"),
        (Role::Image, |i| tag(i, "due", "yesterday"), "its stillframe:due `yesterday` is not an instant"),
        (
            Role::Image,
            |i| tag(i, "due", "2026-11-20T02:30:00+00:00"),
            "its stillframe:due `2026-11-20T02:30:00+00:00` is not an instant",
        ),
        (Role::Image, |i| tag(i, "role", "original"), "its stillframe:role `original` is unknown"),
        (
            Role::Image,
            |i| tag(i, "run", "db@20261120T023000Z"),
            "its stillframe:run `db@20261120T023000Z` does not fit its plan and due",
        ),
        (
            Role::Image,
            |i| tag(i, "due", "2026-11-21T02:30:00Z"),
            "its stillframe:run `web@20261120T023000Z` does not fit its plan and due",
        ),
        (Role::Image, |i| i.name.push('x'), "its name is not the one derived from its tags"),
        (Role::Image, |i| tag(i, "instance", "i-2"), "its name is not the one derived from its tags"),
        (
            Role::Image,
            |i| i.source_instance = Some("i-2".into()),
            "was made from i-2, not from i-0123456789abcdef0: a copy of one of ours",
        ),
        (
            Role::Image,
            |i| (i.source_instance, i.source_image) = (None, Some("ami-1".into())),
            "was made from ami-1, not from i-0123456789abcdef0: a copy of one of ours",
        ),
        (
            Role::Image,
            |i| i.source_instance = None,
            "was made from something else, not from i-0123456789abcdef0: a copy of one of ours",
        ),
        (Role::Copy, |i| i.name.truncate(20), "its name is not the one derived from its tags"),
        (Role::Copy, |i| i.source_image = Some("ami-9".into()), "its source is not the one in its tags"),
        (Role::Copy, |i| i.source_image = None, "its source is not the one in its tags"),
        (Role::Image, |i| i.tags.clear(), "has a name like ours but not our tags"),
    ];
    for (role, change, why) in table {
        let mut image = ours(*role);
        change(&mut image);
        assert_eq!(ownership(&image, "prod", ACCOUNT), Ownership::Foreign((*why).into()));
        assert!(!all_fit(&image, "prod"), "{why}: {:#?}", checks(&image, "prod", ACCOUNT));
    }
}

/// What [`checks`] says, which must be what [`ownership`] says.
fn all_fit(image: &Image, daemon: &str) -> bool {
    checks(image, daemon, ACCOUNT).iter().all(|check| check.ok)
}

#[test]
fn the_checks_name_what_does_not_fit() {
    let failed = |image: &Image, daemon: &str| -> Vec<&'static str> {
        checks(image, daemon, ACCOUNT).iter().filter(|c| !c.ok).map(|c| c.check).collect()
    };
    for role in [Role::Image, Role::Copy] {
        assert!(all_fit(&ours(role), "prod"));
        assert_eq!(failed(&ours(role), "test"), ["daemon", "name"]);
    }
    let mut copied = ours(Role::Image);
    (copied.name, copied.source_instance, copied.source_image) = ("mine".into(), None, Some("ami-1".into()));
    assert_eq!(failed(&copied, "prod"), ["name", "source"]);
    let mut plain = ours(Role::Image);
    plain.tags.clear();
    assert_eq!(failed(&plain, "prod"), ["daemon", "schema", "tags", "due", "role", "run", "name", "source"]);
}

#[test]
fn each_of_our_tags_is_needed() {
    for role in [Role::Image, Role::Copy] {
        for key in ["installation", "plan", "due", "instance", "run", "role", "source", "consistency", "schema"] {
            let mut image = ours(role);
            let key = format!("{TAG_PREFIX}{key}");
            if image.tags.remove(&key).is_some() {
                let why = format!("bears our daemon name but lacks the tag {key}");
                assert_eq!(ownership(&image, "prod", ACCOUNT), Ownership::Foreign(why));
                assert!(!all_fit(&image, "prod"), "{key}");
            } else {
                assert_eq!((role, key.as_str()), (Role::Image, "stillframe:source"));
            }
        }
    }
}

#[test]
fn what_bears_nothing_of_ours_is_unrelated() {
    let mut plain = ours(Role::Image);
    plain.tags.clear();
    plain.name = "mine".into();
    assert_eq!(ownership(&plain, "prod", ACCOUNT), Ownership::Unrelated);
    assert_eq!(ownership(&ours(Role::Image), "test", ACCOUNT), Ownership::Unrelated, "another daemon's");
    assert_eq!(ownership(&ours(Role::Image), "pro", ACCOUNT), Ownership::Unrelated);
}

#[test]
fn only_our_own_forms_are_read() {
    for text in ["", "2026-11-20", "2026-11-20T02:30:00", "2026-11-20 02:30:00Z", "2026-11-20T02:30:00.5Z"] {
        assert_eq!(parse_rfc3339(text), None, "{text}");
    }
    for text in ["web", "web@", "web@2026", "@", "web@20261120T023000", "web@20261320T023000Z"] {
        assert_eq!(parse_run_name(text), None, "{text}");
    }
    assert_eq!(parse_run_name("a@b@20261120T023000Z"), Some(("a@b", at("2026-11-20T02:30:00Z"))));
}

proptest! {
    #[test]
    fn names_are_read_again(plan in "[a-z0-9._-]{1,40}", seconds in 0i64..4_000_000_000) {
        let due = DateTime::from_timestamp(seconds, 0).unwrap();
        let run = run_name(&plan, due);
        prop_assert_eq!(parse_run_name(&run), Some((plan.as_str(), due)));
        prop_assert_eq!(parse_compact(&compact(due)), Some(due));
        prop_assert_eq!(parse_rfc3339(&rfc3339(due)), Some(due));
    }

    /// The longest possible name fits, in the letters that EC2 allows.
    #[test]
    fn names_fit(daemon in "[a-z0-9-]{1,20}", plan in "[a-z0-9._-]{1,40}") {
        let name = image_name(&daemon, &plan, INSTANCE, at("2026-11-20T02:30:00Z"));
        prop_assert!((3..=NAME_MAX).contains(&name.len()), "{}", name);
        prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c)), "{}", name);
    }
}
