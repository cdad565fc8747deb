//! All images of ours, one line each.

use super::document::Document;
use super::table::{Cell, Paint, Table, Tone};
use crate::view::images::ImagesDocument;

impl Document for ImagesDocument {
    fn text(&self, paint: Paint) -> String {
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
