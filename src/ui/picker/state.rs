//! What was typed, what fits, and which row is at hand: keys in, lines out, no terminal.

use anstyle::{AnsiColor, Style};
use dialoguer::console::{self, Key};

use super::Entry;
use super::fuzzy::fit;
use crate::ui::text::{escape, truncate};

/// Rows that are shown at once, where the terminal has room.
const MOST_ROWS: usize = 12;
/// Lines of details, where the terminal has room.
const MOST_DETAILS: usize = 6;

/// After a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// On it goes.
    On,
    /// That one.
    Chosen(usize),
    /// None.
    Left,
}

pub(super) struct State<'a> {
    entries: &'a [Entry],
    /// For each entry what it is found by, in lower case: its row, then its keywords.
    texts: Vec<Vec<String>>,
    typed: String,
    /// The entries that fit, the likeliest first.
    fitting: Vec<usize>,
    /// Which of those is at hand.
    at: usize,
    /// Which of those is shown first.
    top: usize,
    /// Rows that were shown last.
    room: usize,
}

impl<'a> State<'a> {
    pub(super) fn new(entries: &'a [Entry]) -> Self {
        let lower = |text: &String| text.to_lowercase();
        let texts = entries.iter().map(|entry| {
            let words = entry.row.split_whitespace().map(str::to_lowercase);
            words.chain(entry.keywords.iter().map(lower)).collect()
        });
        Self {
            entries,
            texts: texts.collect(),
            typed: String::new(),
            fitting: (0..entries.len()).collect(),
            at: 0,
            top: 0,
            room: MOST_ROWS,
        }
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: &Key) -> Step {
        let last = self.fitting.len().saturating_sub(1);
        match key {
            Key::Enter => match self.fitting.get(self.at) {
                Some(index) => return Step::Chosen(*index),
                None => return Step::On,
            },
            Key::Escape | Key::CtrlC => return Step::Left,
            Key::ArrowUp | Key::BackTab | Key::Char('\x10') => {
                self.at = if self.at == 0 { last } else { self.at - 1 };
            }
            Key::ArrowDown | Key::Tab | Key::Char('\x0e') => {
                self.at = if self.at >= last { 0 } else { self.at + 1 };
            }
            Key::PageUp => self.at = self.at.saturating_sub(self.room),
            Key::PageDown => self.at = (self.at + self.room).min(last),
            Key::Home => self.at = 0,
            Key::End => self.at = last,
            Key::Backspace => {
                self.typed.pop();
                self.filter(None);
            }
            // Ctrl-U: all of it; Ctrl-W: the last word.
            Key::Char('\x15') => {
                self.typed.clear();
                self.filter(None);
            }
            Key::Char('\x17') => {
                let kept = self.typed.trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.typed.truncate(kept);
                self.filter(None);
            }
            Key::Char(c) if !c.is_control() => {
                let narrower = std::mem::take(&mut self.fitting);
                self.typed.push(*c);
                self.filter(Some(narrower));
            }
            _ => {}
        }
        Step::On
    }

    /// Sorts out what fits: of `among`, where more was typed, else of all.
    fn filter(&mut self, among: Option<Vec<usize>>) {
        let typed = self.typed.to_lowercase();
        let words: Vec<&str> = typed.split_whitespace().collect();
        let mut among = among.unwrap_or_else(|| (0..self.entries.len()).collect());
        (self.at, self.top) = (0, 0);
        if words.is_empty() {
            among.sort_unstable();
            self.fitting = among;
            return;
        }
        let mut ranked: Vec<(u32, usize)> = among
            .into_iter()
            .filter_map(|index| Some((rank(&words, self.texts.get(index)?)?, index)))
            .collect();
        // Of equals, the one that stood first.
        ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.fitting = ranked.into_iter().map(|(_, index)| index).collect();
    }

    /// The screen: the question with what was typed, the rows, the details of the one at hand.
    pub(super) fn draw(
        &mut self,
        question: &str,
        details: &dyn Fn(usize) -> Vec<String>,
        rows: usize,
        columns: usize,
    ) -> Vec<String> {
        let styled = console::colors_enabled_stderr();
        let paint = |style: Style, text: &str| match styled {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        };
        // The last column stays free, and the last line is the cursor's.
        let width = columns.saturating_sub(1).max(20);
        let cut = |text: &str, width: usize| truncate(&escape(text), width).into_owned();
        let spare = rows.saturating_sub(3).max(1);
        let shown = MOST_ROWS.min(spare);
        self.room = shown;
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(shown));
        let count = match self.fitting.len() == self.entries.len() {
            true => format!("{}", self.entries.len()),
            false => format!("{} of {}", self.fitting.len(), self.entries.len()),
        };
        let head = cut(&format!("{question} ({count})"), width.saturating_sub(12).max(10));
        let room = width
            .saturating_sub(console::measure_text_width(&head) + 4)
            .max(4);
        let typed = escape(&self.typed);
        let mut tail: &str = &typed;
        while console::measure_text_width(tail) > room {
            let next = tail.char_indices().nth(1).map_or(tail.len(), |(at, _)| at);
            tail = tail.get(next..).unwrap_or_default();
        }
        let bold = Style::new().bold();
        let cursor = paint(Style::new().invert(), " ");
        let mut lines = vec![format!("{} › {tail}{cursor}", paint(bold, &head))];
        let visible = self.fitting.iter().enumerate().skip(self.top).take(shown);
        for (place, index) in visible {
            let Some(entry) = self.entries.get(*index) else {
                continue;
            };
            let row = cut(&entry.row, width.saturating_sub(2));
            lines.push(if place == self.at {
                paint(AnsiColor::Cyan.on_default().bold(), &format!("❯ {row}"))
            } else {
                format!("  {row}")
            });
        }
        if self.fitting.is_empty() {
            lines.push("  nothing fits".to_owned());
        }
        let left = rows.saturating_sub(lines.len() + 2).min(MOST_DETAILS);
        if let Some(index) = self.fitting.get(self.at)
            && left > 0
        {
            let mut about = details(*index);
            about.truncate(left);
            if !about.is_empty() {
                lines.push(String::new());
            }
            let faint = Style::new().dimmed();
            lines.extend(
                about
                    .iter()
                    .map(|line| paint(faint, &cut(&format!("  {line}"), width))),
            );
        }
        lines
    }
}

/// All words have to fit something; what stands in the row counts before keywords, and the first of all most.
fn rank(words: &[&str], texts: &[String]) -> Option<u32> {
    let of = |word: &&str| {
        let fits = texts.iter().enumerate().filter_map(|(place, text)| {
            let place = u32::try_from(place.min(9)).unwrap_or(9);
            Some(fit(word, text)? * 10 - place)
        });
        fits.max()
    };
    words.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let entry = |row: &str, tags: &[&str]| Entry {
            row: row.to_owned(),
            keywords: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        vec![
            entry("prod-web  i-01  10.0.0.1", &["team=Shop", "env=prod"]),
            entry("prod-worker  i-02  10.0.0.2", &["team=jobs"]),
            entry("dev-web  i-03  10.9.0.1", &[]),
        ]
    }

    fn type_keys(state: &mut State<'_>, text: &str) {
        for c in text.chars() {
            assert_eq!(state.press(&Key::Char(c)), Step::On);
        }
    }

    #[test]
    fn it_is_found_by_name_id_address_and_tags() {
        let entries = entries();
        for (typed, found) in [
            ("web", vec![0, 2]),
            ("dvw", vec![2]),
            ("prod web", vec![0]),
            ("i-02", vec![1]),
            ("10.9", vec![2]),
            ("shop", vec![0]),
            ("TEAM=jo", vec![1]),
            ("nothing-of-the-kind", vec![]),
            ("", vec![0, 1, 2]),
        ] {
            let mut state = State::new(&entries);
            type_keys(&mut state, typed);
            let mut fitting = state.fitting.clone();
            fitting.sort_unstable();
            assert_eq!(fitting, found, "{typed}");
        }
    }

    #[test]
    fn the_likeliest_stands_first() {
        let entries = entries();
        for (typed, first) in [("dw", 2), ("pw", 0), ("web", 2), ("wor", 1), ("prod", 0)] {
            let mut state = State::new(&entries);
            type_keys(&mut state, typed);
            assert_eq!(state.press(&Key::Enter), Step::Chosen(first), "{typed}");
        }
    }

    #[test]
    fn keys_move_and_choose() {
        let entries = entries();
        let mut state = State::new(&entries);
        assert_eq!(state.press(&Key::ArrowUp), Step::On);
        assert_eq!(state.press(&Key::Enter), Step::Chosen(2));
        state.press(&Key::ArrowDown);
        assert_eq!(state.press(&Key::Enter), Step::Chosen(0));
        type_keys(&mut state, "work x");
        assert_eq!(state.press(&Key::Enter), Step::On);
        state.press(&Key::Char('\x17'));
        assert_eq!(state.typed, "work ");
        assert_eq!(state.press(&Key::Enter), Step::Chosen(1));
        state.press(&Key::Char('\x15'));
        assert_eq!(state.fitting.len(), 3);
        assert_eq!(state.press(&Key::Escape), Step::Left);
    }

    #[test]
    fn the_screen_fits_the_terminal_and_shows_the_one_at_hand() {
        let many: Vec<Entry> = (0..100)
            .map(|number| {
                Entry::from(format!(
                    "node-{number:03}  with\x1b[2J a long row {}",
                    "x".repeat(300)
                ))
            })
            .collect();
        let mut state = State::new(&many);
        let details = |index: usize| vec![format!("about {index}"), "tag\n=1".to_owned()];
        for (rows, columns) in [(24, 80), (8, 40), (4, 200), (1, 1)] {
            for _ in 0..30 {
                state.press(&Key::ArrowDown);
            }
            let lines = state.draw("Which?", &details, rows, columns);
            assert!(lines.len() < rows.max(4), "{rows}: {}", lines.len());
            for line in &lines {
                let width = console::measure_text_width(line);
                assert!(width < columns.max(24), "{columns}: {width}");
                assert!(!line.contains("\x1b[2J"));
            }
            let at = format!("node-{:03}", state.at);
            assert!(lines.iter().any(|line| line.contains("❯") && line.contains(&at)));
        }
        let lines = state.draw("Which?", &details, 24, 80).join("\n");
        assert!(lines.contains(&format!("about {}", state.at)) && lines.contains("tag\\n=1"));
    }

    #[test]
    fn five_thousand_rows_answer_a_key_at_once() {
        let many: Vec<Entry> = (0..5000)
            .map(|number| Entry {
                row: format!(
                    "web-{number:05}  i-{number:017x}  10.0.{}.{}",
                    number / 250,
                    number % 250
                ),
                keywords: (0..10).map(|tag| format!("key-{tag}=value-{number}")).collect(),
            })
            .collect();
        let mut state = State::new(&many);
        let begun = std::time::Instant::now();
        type_keys(&mut state, "w1777");
        // Unoptimised, and on a busy machine; optimised it is a few milliseconds.
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
        assert_eq!(state.press(&Key::Enter), Step::Chosen(1777));
    }
}
