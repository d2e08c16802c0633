//! Columns for people: no borders, two spaces between, headings in capitals, as wide as the terminal allows.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::{Cell, Column, Fit, Headings, Page, Tone};
use crate::ui::text::{escape, truncate};

/// So many rows are measured; those after them keep to the widths.
const MEASURED: usize = 1000;
/// One 256-character name must not push the rest off the screen.
const WIDEST_CELL: usize = 48;
/// A column is not cut to less.
const NARROWEST: usize = 8;
const GAP: usize = 2;

/// A table that is fed row by row and gives its lines back as soon as its widths are known.
#[derive(Debug)]
pub(super) struct Grid {
    columns: Vec<Column>,
    headings: Headings,
    page: Page,
    /// Rows that wait to be measured. `None`: widths are settled.
    waiting: Option<Vec<Vec<Cell>>>,
    widths: Vec<usize>,
}

impl Grid {
    pub(super) fn new(columns: Vec<Column>, headings: Headings, page: Page) -> Self {
        let widths = columns
            .iter()
            .map(|column| match headings {
                Headings::Shown => column.heading.width(),
                Headings::Left => 0,
            })
            .collect();
        Self {
            columns,
            headings,
            page,
            waiting: Some(Vec::new()),
            widths,
        }
    }

    /// Takes a row, one cell for each column, and appends the lines that can be printed now.
    pub(super) fn push(&mut self, cells: Vec<Cell>, lines: &mut String) {
        let Some(waiting) = &mut self.waiting else {
            return self.line(&cells, lines);
        };
        for (width, (cell, column)) in self.widths.iter_mut().zip(cells.iter().zip(&self.columns)) {
            let wide = escape(&cell.text).width();
            let wide = if cut(self.page, column) {
                wide.min(WIDEST_CELL)
            } else {
                wide
            };
            *width = (*width).max(wide);
        }
        waiting.push(cells);
        if waiting.len() >= MEASURED {
            self.settle(lines);
        }
    }

    /// Appends what waited, and keeps to its widths from now on: more may come, but not soon.
    pub(super) fn flush(&mut self, lines: &mut String) {
        self.finish(lines);
    }

    /// Appends what waited; a table without rows has no headings either.
    pub(super) fn finish(&mut self, lines: &mut String) {
        if self.waiting.as_ref().is_some_and(|waiting| !waiting.is_empty()) {
            self.settle(lines);
        }
    }

    fn settle(&mut self, lines: &mut String) {
        self.fit();
        if self.headings == Headings::Shown {
            let headings: Vec<Cell> = self
                .columns
                .iter()
                .map(|column| Cell::from(column.heading.to_uppercase()))
                .collect();
            self.write(&headings, Some(Style::new().bold()), lines);
        }
        for cells in self.waiting.take().unwrap_or_default() {
            self.line(&cells, lines);
        }
    }

    /// Narrows the widest columns that may be cut until the row fits the terminal, evenly.
    fn fit(&mut self) {
        let Some(terminal) = self.page.columns else {
            return;
        };
        loop {
            let total = self.widths.iter().sum::<usize>() + GAP * self.widths.len().saturating_sub(1);
            let Some(over) = total.checked_sub(terminal).filter(|over| *over > 0) else {
                return;
            };
            let widest = (0..self.widths.len())
                .filter(|index| self.columns[*index].fit == Fit::Cut && self.widths[*index] > NARROWEST)
                .max_by_key(|index| self.widths[*index]);
            let Some(widest) = widest else { return };
            let floor = (0..self.widths.len())
                .filter(|index| *index != widest && self.columns[*index].fit == Fit::Cut)
                .map(|index| self.widths[index])
                .max()
                .unwrap_or(0)
                .clamp(NARROWEST, self.widths[widest] - 1);
            self.widths[widest] = self.widths[widest].saturating_sub(over).max(floor);
        }
    }

    fn line(&self, cells: &[Cell], lines: &mut String) {
        self.write(cells, None, lines);
    }

    fn write(&self, cells: &[Cell], style: Option<Style>, lines: &mut String) {
        let start = lines.len();
        let mut pending = 0;
        for (cell, (column, width)) in cells.iter().zip(self.columns.iter().zip(&self.widths)) {
            let text = escape(&cell.text);
            let text = if cut(self.page, column) {
                truncate(&text, *width)
            } else {
                Cow::Borrowed(&*text)
            };
            if !text.is_empty() {
                lines.extend(std::iter::repeat_n(' ', pending));
                pending = 0;
                paint(
                    &text,
                    style.unwrap_or_else(|| cell.tone.style()),
                    self.page,
                    lines,
                );
            }
            pending += width.saturating_sub(text.width()) + GAP;
        }
        debug_assert!(!lines[start..].contains('\n'));
        lines.push('\n');
    }
}

/// Whether cells of the column may be cut: only where there is a screen that they may not fit.
fn cut(page: Page, column: &Column) -> bool {
    page.columns.is_some() && column.fit == Fit::Cut
}

/// Fields one under the other: label and values, values aligned. Empty fields are left out by the caller.
pub(super) fn fields(rows: &[(&str, &[Cell])], page: Page, lines: &mut String) {
    let widest = rows.iter().map(|(label, _)| label.width()).max().unwrap_or(0) + 1 + GAP;
    for (label, values) in rows {
        for (index, value) in values.iter().enumerate() {
            let label = if index == 0 {
                format!("{label}:")
            } else {
                String::new()
            };
            paint(&label, Style::new().bold(), page, lines);
            lines.extend(std::iter::repeat_n(' ', widest.saturating_sub(label.width())));
            paint(&escape(&value.text), value.tone.style(), page, lines);
            lines.push('\n');
        }
    }
}

fn paint(text: &str, style: Style, page: Page, lines: &mut String) {
    if page.styled && style != Style::new() && !text.is_empty() {
        lines.push_str(&format!("{style}{text}{style:#}"));
    } else {
        lines.push_str(text);
    }
}

impl Tone {
    /// The four basic colours and dimming are legible on dark and on light.
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Odd => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(columns: Vec<Column>, rows: &[&[&str]], terminal: Option<usize>) -> String {
        let page = Page {
            columns: terminal,
            styled: false,
        };
        let mut grid = Grid::new(columns, Headings::Shown, page);
        let mut lines = String::new();
        for row in rows {
            grid.push(row.iter().map(|cell| Cell::from(*cell)).collect(), &mut lines);
        }
        grid.finish(&mut lines);
        lines
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::new("name", "name"),
            Column::new("id", "id").whole(),
            Column::new("state", ""),
        ]
    }

    #[test]
    fn columns_line_up_and_hostile_cells_stay_in_their_row() {
        let rows: [&[&str]; 2] = [&["prod-web", "i-1", "running"], &["evil\n\x1b[2J", "i-22", ""]];
        assert_eq!(
            draw(columns(), &rows, None),
            "NAME         ID    STATE\nprod-web     i-1   running\nevil\\n\\e[2J  i-22\n"
        );
    }

    #[test]
    fn wide_characters_count_twice() {
        let rows: [&[&str]; 2] = [&["名前", "i-1", "x"], &["abc", "i-2", "y"]];
        assert_eq!(
            draw(columns(), &rows, None),
            "NAME  ID   STATE\n名前  i-1  x\nabc   i-2  y\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_but_never_an_id() {
        let id = "i-0123456789abcdef0";
        let rows: [&[&str]; 1] = [&["a-rather-long-name-of-a-node", id, "running"]];
        let text = draw(columns(), &rows, Some(44));
        assert_eq!(
            text.lines().nth(1).unwrap(),
            format!("a-rather-long…  {id}  running")
        );
        assert!(text.lines().all(|line| line.width() <= 44));
        // Not a terminal: nothing is lost.
        assert!(draw(columns(), &rows, None).contains("a-rather-long-name-of-a-node"));
    }

    #[test]
    fn even_a_hopeless_width_prints_the_ids() {
        let id = "i-0123456789abcdef0";
        assert!(draw(columns(), &[&["some-name", id, "running"]], Some(3)).contains(id));
    }

    #[test]
    fn rows_after_the_measured_ones_are_not_kept() {
        let page = Page {
            columns: None,
            styled: false,
        };
        let mut grid = Grid::new(columns(), Headings::Left, page);
        let mut lines = String::new();
        for _ in 0..MEASURED {
            grid.push(vec!["a".into(), "b".into(), "c".into()], &mut lines);
        }
        assert_eq!(lines.lines().count(), MEASURED);
        lines.clear();
        grid.push(vec!["longer".into(), "b".into(), "c".into()], &mut lines);
        assert_eq!(lines, "longer  b  c\n");
    }

    #[test]
    fn no_rows_no_headings() {
        assert_eq!(draw(columns(), &[], None), "");
    }

    #[test]
    fn values_stand_under_each_other() {
        let (id, tags) = ([Cell::from("i-1")], [Cell::from("a=b"), Cell::from("c=\t")]);
        let page = Page {
            columns: None,
            styled: false,
        };
        let mut text = String::new();
        fields(&[("id", &id), ("tags", &tags)], page, &mut text);
        assert_eq!(text, "id:    i-1\ntags:  a=b\n       c=\\t\n");
    }
}
