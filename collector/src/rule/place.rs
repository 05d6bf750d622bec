//! Where in a file a mistake is that Sigma's parser tells without its line.

/// The line of the first word in quotes or back-ticks of a reason that stands in the text; else that of `detection:`, else the first.
pub(super) fn line(text: &str, reason: &str) -> usize {
    let words = reason.split(['\'', '"', '`']).skip(1).step_by(2);
    let named = words.filter(|word| word.len() > 1).find_map(|word| line_with(text, word));
    named.or_else(|| line_with(text, "detection:")).unwrap_or(1)
}

fn line_with(text: &str, word: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(word)).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_with_the_line_of_its_word() {
        let text = "title: a\ndetection:\n  selection: {a|b: 1}\n  condition: other\n";
        assert_eq!(line(text, "unknown selection 'other'"), 4);
        assert_eq!(line(text, "something"), 2);
        assert_eq!(line("title: a\n", "something"), 1);
    }
}
