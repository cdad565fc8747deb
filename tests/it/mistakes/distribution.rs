//! Mistakes in `[[copy]]` and `[share]`.

use super::plans::Mistake;

/// Each of these stands before `[tags]` in a good plan.
fn before_tags<const N: usize>(rows: [(&'static str, &str); N]) -> Vec<Mistake> {
    let mistake =
        |(title, text): (&'static str, &str)| Mistake { title, from: "[tags]\n", to: format!("{text}\n[tags]\n") };
    rows.into_iter().map(mistake).collect()
}

/// To eu-west-1, with this line.
fn copy(line: &str) -> String {
    format!("[[copy]]\nregion = \"eu-west-1\"\n{line}")
}

/// To eu-west-1 of the account dr, with this line.
fn to_dr(line: &str) -> String {
    copy(&format!("account = \"dr\"\n{line}"))
}

const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

pub fn copies() -> Vec<Mistake> {
    let second = format!("{}\n{}", to_dr(""), to_dr("kms_key = \"alias/backup\""));
    let arn = |region: &str| format!("arn:aws:kms:{region}:222222222222:key/{KEY}");
    before_tags([
        ("copy: single brackets", "[copy]\nregion = \"eu-west-1\""),
        ("copy: below another section", "[keep.copy]\nregion = \"eu-west-1\""),
        ("copy: without a region", "[[copy]]\naccount = \"dr\""),
        ("copy: several regions in one", "[[copy]]\nregions = [\"eu-west-1\"]"),
        ("copy: a city", "[[copy]]\nregion = \"Dublin\""),
        ("copy: an unknown key", &copy("quux = 1")),
        ("copy: tags of its own", &copy("tags = { Team = \"dr\" }")),
        ("copy: a keep rule without its table", &copy("last = 2")),
        ("copy: keep as a number", &copy("keep = 2")),
        ("copy: no keep rule", &copy("keep = {}")),
        ("copy: no keep rule but min", &copy("keep = { last = 0, min = 2 }")),
        ("copy: a misspelled keep rule", &copy("keep = { lats = 2 }")),
        ("copy: an unknown account", &copy("account = \"backup\"")),
        ("copy: a misspelled account", &copy("account = \"drr\"")),
        ("copy: the id of a known account", &copy("account = \"222222222222\"")),
        ("copy: the id of an unknown account", &copy("account = \"333333333333\"")),
        ("copy: a second time", &second),
        ("copy: to where the images are", "[[copy]]\nregion = \"eu-central-1\""),
        ("copy: another partition", "[[copy]]\nregion = \"cn-north-1\""),
        ("copy: an account of another partition", &copy("account = \"cn\"")),
        ("copy: a key without alias/", &copy("kms_key = \"backup\"")),
        ("copy: half a key", &copy("kms_key = \"1234abcd-12ab-34cd-56ef\"")),
        ("copy: a key of another service", &copy("kms_key = \"alias/aws/s3\"")),
        ("copy: an alias with a blank", &copy("kms_key = \"alias/my key\"")),
        ("copy: a key in capitals", &copy(&format!("kms_key = {:?}", KEY.to_uppercase()))),
        ("copy: a key of another region", &copy(&format!("kms_key = {:?}", arn("us-east-1")))),
        ("copy: via_key in the same account", &copy("via_key = \"alias/share\"")),
        ("copy: via_key of AWS", &to_dr("via_key = \"alias/aws/ebs\"")),
        ("copy: via_key of another region", &to_dr(&format!("via_key = {:?}", arn("eu-west-1")))),
        (
            "copy: a key of another partition",
            &to_dr(&format!("kms_key = {:?}", arn("cn-north-1").replace("aws:", "aws-cn:"))),
        ),
        ("copy: an encryption flag", &copy("encrypted = true")),
    ])
}

pub fn shares() -> Vec<Mistake> {
    let organization = "arn:aws:organizations::111111111111:organization/o-abc";
    let unit = "arn:aws:organizations::111111111111:ou/o-abc/ou-abcd-12345678";
    let accounts: Vec<String> = (0..60).map(|n| format!("\"{:012}\"", 300_000_000_000_u64 + n)).collect();
    let accounts = accounts.join(", ");
    let units = (0..60).map(|n| format!("\"arn:aws:organizations::111111111111:ou/o-abc/ou-abcd-{n:032}\""));
    let units = units.collect::<Vec<_>>().join(", ");
    let share = |line: &str| format!("[share]\n{line}");
    before_tags([
        ("share: with nobody", &share("snapshots = true")),
        ("share: an empty list", &share("accounts = []")),
        ("share: a list of tables", "[[share]]\naccounts = [\"333333333333\"]"),
        ("share: one account", &share("account = \"333333333333\"")),
        ("share: an account without a list", &share("accounts = \"333333333333\"")),
        ("share: an account as a number", &share("accounts = [333333333333]")),
        ("share: eleven digits", &share("accounts = [\"33333333333\"]")),
        ("share: an account with dashes", &share("accounts = [\"3333-3333-3333\"]")),
        ("share: an account twice", &share("accounts = [\"333333333333\", \"333333333333\"]")),
        ("share: the ARN of an account", &share("accounts = [\"arn:aws:iam::333333333333:root\"]")),
        ("share: everyone", &share("accounts = [\"all\"]")),
        ("share: an organization among accounts", &share(&format!("accounts = [{organization:?}]"))),
        ("share: a unit among organizations", &share(&format!("organizations = [{unit:?}]"))),
        ("share: an organization among units", &share(&format!("organizational_units = [{organization:?}]"))),
        ("share: an account among units", &share("organizational_units = [\"333333333333\"]")),
        ("share: an organization's id alone", &share("organizations = [\"o-abc\"]")),
        ("share: a unit's id alone", &share("organizational_units = [\"ou-abcd-12345678\"]")),
        (
            "share: a unit without its organization",
            &share(&format!("organizational_units = [{:?}]", unit.replace("o-abc/", ""))),
        ),
        (
            "share: an organization of another partition",
            &share(&format!("organizations = [{:?}]", organization.replace("aws:", "aws-cn:"))),
        ),
        ("share: no time of grace", &share("accounts = [\"333333333333\"]\ngrace = \"0d\"")),
        ("share: via_key of AWS", &share("accounts = [\"333333333333\"]\nvia_key = \"alias/aws/ebs\"")),
        (
            "share: via_key of another region",
            &share(&format!(
                "accounts = [\"333333333333\"]\nvia_key = \"arn:aws:kms:us-east-1:111111111111:key/{KEY}\""
            )),
        ),
        (
            "share: copies under AWS's own key",
            &format!("{}\n[share]\naccounts = [\"333333333333\"]", copy("kms_key = \"alias/aws/ebs\"")),
        ),
        ("share: too many, with a copy's account", &format!("{}\n[share]\naccounts = [{accounts}]", to_dr(""))),
        ("share: units with long ids", &share(&format!("organizational_units = [{units}]"))),
    ])
}
