//! How many may be let in by one plan, and how the tags of an image remember whom we let in.

use std::collections::BTreeSet;

use crate::domain::sharing::Grantee;

/// At most so many accounts, organizations and units of one plan, its copies' accounts among them: they fit into
/// [`LENT_TAGS_MAX`] tags, and stay well below the 1,000 that EC2 allows for an image.
pub const GRANTEES_MAX: usize = 60;
/// At most so many of the 50 tags of an image: `stillframe:lent`, `stillframe:lent.2`, ...
pub const LENT_TAGS_MAX: usize = 5;
/// EC2 API reference, "Tag": a value holds at most 256 characters.
const VALUE_MAX: usize = 256;

/// The id by which a tag remembers a grantee: twelve digits, `o-...` or `ou-...`.
#[must_use]
pub fn word(grantee: &Grantee) -> String {
    let text = grantee.to_string();
    text.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The values of the tags that remember all of them, each id separated by a space.
#[must_use]
pub fn pack(grantees: &BTreeSet<Grantee>) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for word in grantees.iter().map(word) {
        match values.last_mut() {
            Some(value) if value.len() + 1 + word.len() <= VALUE_MAX => {
                value.push(' ');
                value.push_str(&word);
            }
            _ => values.push(word),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_of_them_fit() {
        let accounts: BTreeSet<Grantee> = (0..60).map(|n| Grantee::Account(format!("{n:012}"))).collect();
        let values = pack(&accounts);
        assert!(values.len() <= LENT_TAGS_MAX && values.iter().all(|value| value.len() <= VALUE_MAX), "{values:?}");
        assert_eq!(values.iter().flat_map(|value| value.split(' ')).count(), 60);
        assert_eq!(pack(&BTreeSet::new()), Vec::<String>::new());
        let unit = Grantee::Unit("arn:aws:organizations::111111111111:ou/o-abc/ou-abcd-12345678".into());
        assert_eq!(word(&unit), "ou-abcd-12345678");
    }
}
