//! Filters: wildcards, and which names each list knows.

use std::collections::BTreeSet;

use super::action::Filter;
use super::error::ApiError;
use super::rules::FILTER_VALUES_MAX;
use crate::domain::observed::Tags;

/// What an object answers to a filter's name.
pub(super) enum Field {
    /// It has these values, perhaps none.
    Values(Vec<String>),
    /// The list does not know the filter.
    Unknown,
}

impl Field {
    pub(super) fn one(value: impl Into<String>) -> Self {
        Self::Values(vec![value.into()])
    }

    pub(super) fn option(value: Option<impl Into<String>>) -> Self {
        Self::Values(value.into_iter().map(Into::into).collect())
    }

    /// `tag:KEY` and `tag-key`, which every list knows.
    pub(super) fn of_tags(name: &str, tags: &Tags) -> Self {
        match name.strip_prefix("tag:") {
            Some(key) => Self::option(tags.get(key).cloned()),
            None if name == "tag-key" => Self::Values(tags.keys().cloned().collect()),
            None => Self::Unknown,
        }
    }
}

/// The filters of one request, prepared.
pub(super) struct Filters(Vec<Ready>);

struct Ready {
    name: String,
    exact: BTreeSet<String>,
    wild: Vec<Vec<char>>,
}

impl Filters {
    /// Prepares `filters`; `probe` says which names the list knows.
    pub(super) fn new(filters: &[Filter], probe: impl Fn(&str) -> Field) -> Result<Self, ApiError> {
        let ready = filters.iter().map(|filter| {
            if matches!(probe(&filter.name), Field::Unknown) {
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
            let (wild, exact) = filter.values.iter().cloned().partition::<Vec<_>, _>(|v| v.contains(['*', '?', '\\']));
            let wild = wild.iter().map(|v| v.chars().collect()).collect();
            Ok(Ready { name: filter.name.clone(), exact: exact.into_iter().collect(), wild })
        });
        Ok(Self(ready.collect::<Result<_, _>>()?))
    }

    /// Whether all filters match what `field` answers.
    pub(super) fn match_all(&self, field: impl Fn(&str) -> Field) -> bool {
        self.0.iter().all(|filter| match field(&filter.name) {
            Field::Values(values) => values.iter().any(|v| filter.exact.contains(v) || filter.wild(v)),
            Field::Unknown => false,
        })
    }

    /// The exact values of the filter `name`, if it is there without wildcards: a short way to the objects.
    pub(super) fn exactly(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.0.iter().find(|f| f.name == name && f.wild.is_empty()).map(|f| &f.exact)
    }
}

impl Ready {
    fn wild(&self, value: &str) -> bool {
        if self.wild.is_empty() {
            return false;
        }
        let text: Vec<char> = value.chars().collect();
        self.wild.iter().any(|pattern| wild(pattern, &text))
    }
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
