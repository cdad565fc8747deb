use super::*;

fn made(pairs: &[(&str, &str)]) -> Result<Option<String>, String> {
    client(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())).map(|made| made.1)
}

#[test]
fn an_endpoint_that_is_none_is_said_in_one_line() {
    for name in ENDPOINTS {
        for garbage in ["garbage", "127.0.0.1:4566", "ftp://x", "http://", "http://a b", "https://\u{1b}[31mx"] {
            let why = made(&[(name, garbage)]).expect_err(garbage);
            assert!(why.starts_with(&format!("{name} is `")) && why.contains("no URL"), "{why}");
            assert!(!why.contains(['\n', '\u{1b}']), "{why:?}");
        }
        assert!(made(&[(name, "http://127.0.0.1:1"), (BUNDLE, "")]).is_ok());
        assert!(made(&[(name, "garbage"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]).is_ok(), "nobody reads it");
    }
}

#[test]
fn a_bundle_that_cannot_be_used_is_said_in_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("empty"), "").expect("written");
    std::fs::write(path("no"), format!("{BEGIN}\nbm90aGluZw==\n{END}\n")).expect("written");
    for (name, part) in [("absent", "cannot read AWS_CA_BUNDLE"), ("empty", "holds no certificate"), ("no", "holds no")]
    {
        let why = made(&[(BUNDLE, &path(name))]).expect_err(name);
        assert!(why.contains(part) && why.contains(&path(name)) && !why.contains('\n'), "{why}");
    }
}

#[test]
fn what_is_of_this_machine_alone_goes_through_no_proxy() {
    for (uri, here) in [
        ("http://169.254.169.254/latest/api/token", true),
        ("http://169.254.170.2/v2/credentials", true),
        ("http://169.254.170.23/v1/credentials?x", true),
        ("http://[fd00:ec2::254]/latest/meta-data/", true),
        ("http://[FD00:EC2::23]/v1/credentials", true),
        ("http://localhost:1338/latest/api/token", true),
        ("http://localhost:1339/latest/api/token", false),
        ("https://ec2.eu-west-1.amazonaws.com/", false),
        ("https://ec2.eu-west-1.amazonaws.com/?a=169.254.169.254", false),
        ("https://x169.254.169.254/", false),
    ] {
        assert_eq!(of_this_machine(uri, Some("localhost:1338")), here, "{uri}");
    }
    assert!(!of_this_machine("http://localhost:1338/", None));
}
