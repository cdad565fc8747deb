//! Filters: wildcards, and which names each list knows.

use super::action::Filter;
use super::error::ApiError;
use super::rules::FILTER_VALUES_MAX;
use crate::domain::observed::Tags;

/// What an object answers to a filter's name: whether any of its values is wanted. Nothing: the list does not know the
/// filter.
pub(super) type Field = Option<bool>;

/// `tag:KEY` and `tag-key`, which every list knows.
pub(super) fn of_tags(name: &str, tags: Option<&Tags>, wanted: &dyn Fn(&str) -> bool) -> Field {
    match name.strip_prefix("tag:") {
        Some(key) => Some(tags.and_then(|tags| tags.get(key)).is_some_and(|value| wanted(value))),
        None if name == "tag-key" => Some(tags.is_some_and(|tags| tags.keys().any(|key| wanted(key)))),
        None => None,
    }
}

/// The filters of one request, prepared.
pub(super) struct Filters<'a>(Vec<Ready<'a>>);

struct Ready<'a> {
    name: &'a str,
    /// In order.
    exact: Vec<&'a str>,
    wild: Vec<Vec<char>>,
}

impl<'a> Filters<'a> {
    /// Prepares `filters`; `probe` says which names the list knows.
    pub(super) fn new(filters: &'a [Filter], probe: impl Fn(&str) -> Field) -> Result<Self, ApiError> {
        let ready = filters.iter().map(|filter| {
            if probe(&filter.name).is_none() {
                return Err(ApiError::value(format!("The filter '{}' is invalid", filter.name)));
            }
            if filter.values.is_empty() {
                return Err(ApiError::value("The filter 'null' is invalid"));
            }
            if filter.values.len() > FILTER_VALUES_MAX {
                // API reference, "Filters": at most 200 values.
                return Err(ApiError::client(
                    "FilterLimitExceeded",
                    format!("The maximum length for a filter value list is {FILTER_VALUES_MAX}"),
                ));
            }
            let values = filter.values.iter().map(String::as_str);
            let (wild, mut exact) = values.partition::<Vec<_>, _>(|v| v.contains(['*', '?', '\\']));
            exact.sort_unstable();
            exact.dedup();
            let wild = wild.iter().map(|v| v.chars().collect()).collect();
            Ok(Ready { name: &filter.name, exact, wild })
        });
        Ok(Self(ready.collect::<Result<_, _>>()?))
    }

    /// Whether all filters match what `field` answers.
    pub(super) fn match_all(&self, field: impl Fn(&str, &dyn Fn(&str) -> bool) -> Field) -> bool {
        let matches = |filter: &Ready<'_>| field(filter.name, &|value| filter.matches(value)).unwrap_or(false);
        self.0.iter().all(matches)
    }

    /// The exact values of the filter `name`, if it is there without wildcards: a short way to the objects.
    pub(super) fn exactly(&self, name: &str) -> Option<&[&'a str]> {
        self.0.iter().find(|f| f.name == name && f.wild.is_empty()).map(|f| f.exact.as_slice())
    }
}

impl Ready<'_> {
    fn matches(&self, value: &str) -> bool {
        if self.exact.binary_search(&value).is_ok() {
            return true;
        }
        if self.wild.is_empty() {
            return false;
        }
        let text: Vec<char> = value.chars().collect();
        self.wild.iter().any(|pattern| wild(pattern, &text))
    }
}

/// Whether `text` fits `pattern`, which may hold `*` and `?`.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    wild(&pattern, &text)
}

/// `*` is any row of characters, `?` exactly one, `\` takes the next one literally (EC2 user guide, "Filtering").
fn wild(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skip| wild(rest, &text[skip..])),
        ['?', rest @ ..] => !text.is_empty() && wild(rest, &text[1..]),
        ['\\', literal, rest @ ..] => text.first() == Some(literal) && wild(rest, &text[1..]),
        [literal, rest @ ..] => text.first() == Some(literal) && wild(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::wild;

    #[test]
    fn wildcards_as_in_the_user_guide() {
        let table = [
            ("web-*", "web-1", true),
            ("web-?", "web-12", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            (r"10\*", "10*", true),
            (r"10\*", "100", false),
            ("nightly", "Nightly", false),
        ];
        for (pattern, text, want) in table {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            assert_eq!(wild(&p, &t), want, "{pattern} on {text}");
        }
    }
}
