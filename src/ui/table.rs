//! Columns for people: no borders, two spaces between, headings in capitals.

use comfy_table::{ContentArrangement, Table, presets};

use super::text::{escape, truncate};

/// Columns wider than this are cut: one 256-character name must not push the rest off the screen.
const WIDEST_CELL: usize = 48;

/// Rows under headings, as text that ends with a line break. Cells are untrusted: they are escaped here.
/// Without headings (`--no-headers`) pass an empty list.
pub fn render(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if !headings.is_empty() {
        table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    }
    for row in rows {
        table.add_row(
            row.iter()
                .map(|cell| truncate(&escape(cell), WIDEST_CELL).into_owned()),
        );
    }
    let columns = table.column_count();
    for (index, column) in table.column_iter_mut().enumerate() {
        let right = if index + 1 == columns { 0 } else { 2 };
        column.set_padding((0, right));
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values one under the other, values aligned. Empty values are left out.
pub fn fields(rows: &[(&str, String)]) -> String {
    let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!(
            "{:<width$}  {}\n",
            format!("{name}:"),
            escape(value),
            width = widest + 1
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_hostile_cells_stay_in_their_row() {
        let rows = vec![
            vec!["prod-web".to_owned(), "i-0123456789abcdef0".to_owned()],
            vec!["evil\n\x1b[2J".to_owned(), "名前".to_owned()],
        ];
        assert_eq!(
            render(&["name", "id"], &rows),
            "NAME         ID\nprod-web     i-0123456789abcdef0\nevil\\n\\e[2J  名前\n"
        );
    }

    #[test]
    fn fields_leave_out_what_is_empty() {
        let text = fields(&[
            ("id", "i-1".into()),
            ("asg", String::new()),
            ("state", "running".into()),
        ]);
        assert_eq!(text, "id:     i-1\nstate:  running\n");
    }
}
