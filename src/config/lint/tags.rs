//! Tags that hardly mean what they say: AWS's own way of writing them, and characters that nobody can see.

use super::Say;
use crate::config::plan::Checked;
use crate::domain::text::is_unseen;

pub(super) fn look(checked: &Checked, say: &mut Say<'_>) {
    let sheet = &checked.sheet;
    for path in ["select.tags", "select.exclude_tags", "tags"] {
        let entries = sheet.tags(path);
        let named = |word: &str| entries.iter().find(|(key, _)| key.text.eq_ignore_ascii_case(word));
        // `{ Key = "Backup", Value = "nightly" }`, and the form of a filter.
        let [key, value] = [&["key", "name"][..], &["value", "values"][..]]
            .map(|words| words.iter().find_map(|word| named(word)).map(|(key, values)| (key, values.first())));
        if let (Some((first, Some(name))), Some((second, value)), 2) = (key, value, entries.len()) {
            let what = format!("names two tags, `{}` and `{}`: this is how AWS writes one", first.text, second.text);
            let name = name.text.strip_prefix("tag:").unwrap_or(&name.text);
            let value = value.map_or("", |value| value.text.as_str());
            let hint = format!("write {{ {} = {value:?} }} if one tag is meant", super::super::kind::show_key(name));
            say(Some(first.span.clone()), path, what, hint);
        }
        for (key, values) in entries {
            let items = std::iter::once(key).chain(values);
            let unseen = items.filter_map(|item| Some((item, item.text.chars().find(|c| is_unseen(*c))?)));
            for (item, c) in unseen.take(1) {
                let what = format!("{:?} holds the character {c:?}, which nobody can see", item.text);
                say(Some(item.span.clone()), path, what, "type it anew".into());
            }
        }
    }
}
