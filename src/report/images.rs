//! All images of ours, as a document and as one line each.

use serde::Serialize;

use super::document::{SCHEMA, line};
use super::table::{Cell, Paint, Table, Tone};

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageLine {
    /// The plan that made it.
    pub plan: String,
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance that it was made of.
    pub instance: String,
    /// `ami-...`
    pub image: String,
    /// Whether it is a copy.
    pub copy: bool,
    /// The occurrence that made it.
    pub due: String,
    /// EC2's word.
    pub state: &'static str,
    /// keep or delete.
    pub verdict: &'static str,
    /// In an operator's words.
    pub reasons: Vec<String>,
    /// The occurrence after which no rule keeps it; nothing: none within sight.
    pub until: Option<String>,
}

/// The document of `images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImagesDocument {
    /// When it was made.
    pub at: String,
    /// All of them, by plan and place; of an instance the newest first.
    pub images: Vec<ImageLine>,
    /// What could not be read.
    pub faults: Vec<String>,
}

impl ImagesDocument {
    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            #[serde(flatten)]
            images: &'a ImagesDocument,
        }
        line(&Document { schema: SCHEMA, images: self })
    }

    /// One line each.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for fault in &self.faults {
            text += &format!("{}\n", paint.tone(Tone::Bad, &format!("NOT KNOWN: {fault}")));
        }
        if self.images.is_empty() {
            return text + "no images\n";
        }
        let head = ["PLAN", "INSTANCE", "REGION", "DUE", "IMAGE", "STATE", "VERDICT", "UNTIL", "WHY"];
        let mut table = Table::headed(0, &head);
        for i in &self.images {
            let image = if i.copy { format!("{} (copy)", i.image) } else { i.image.clone() };
            table.row([
                (&*i.plan).into(),
                (&*i.instance).into(),
                (&*i.region).into(),
                (&*i.due).into(),
                image.into(),
                i.state.into(),
                Cell::word(i.verdict),
                i.until.as_deref().unwrap_or("-").into(),
                i.reasons.join("; ").into(),
            ]);
        }
        text + &table.text(paint)
    }
}
