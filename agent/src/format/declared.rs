//! Formats declared in TOML: one file a format, in `agent/formats/` or in an administrator's folder.
//!
//! A file tells where its lines are met (`programs` of syslog, `head`s of whole lines, keys of JSON, pairs, columns), how their
//! values are called (`[map]`, named groups), and what they mean (`[[pattern]]`, `[[case]]`), with examples that are tried when the
//! file is read. `CONTRIBUTING.md` shows one.
//!
//! Expressions are compiled when a line first needs them, and a line needs them only if it holds the texts in `needs`: most of a
//! hundred formats cost a host nothing.

use std::{
    borrow::Cow,
    collections::HashMap,
    path::Path,
    sync::{Arc, LazyLock},
};

use include_dir::{Dir, include_dir};
use vonggac_daemon::settings::{Document, Mistake, Mistakes, SettingsError};
use vonggac_wire::event::{Body, Class};

use super::{Context, Parsed, clock, generic, names};

mod expression;
pub(crate) mod field;
mod gate;
mod literal;
mod load;
mod meaning;
pub(crate) mod shape;
mod spaced;

use expression::Expression;
use field::{Draft, Field};
use gate::Gate;
use meaning::{Case, Meaning};
use shape::{Object, Shape};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/formats");

/// The formats of this program, read once.
static BUILTIN: LazyLock<Arc<Declared>> =
    LazyLock::new(|| Arc::new(Declared::of(Declared::read_builtin())));

/// One way of a format to read a text.
pub(crate) struct Pattern {
    text: Expression,
    meaning: Meaning,
    /// Reads whole lines too, without a head.
    line: bool,
}

/// A text that a format must read, or must not.
pub(crate) struct Example {
    pub(crate) line: String,
    pub(crate) program: String,
    /// The class that it must be of, if that is told.
    pub(crate) class: Option<Class>,
    /// Field and value; empty for a text that it must not read.
    pub(crate) is: Vec<(Field, String)>,
}

/// A format.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Where its notation is written down, or was read.
    pub(crate) source: &'static str,
    /// Those of a low rank are asked first: the surer a format knows its lines, the lower.
    rank: u64,
    programs: Vec<String>,
    /// What begins its whole lines; what follows is read by the patterns.
    heads: Vec<Expression>,
    shapes: Vec<Shape>,
    map: Vec<(Field, Vec<String>)>,
    patterns: Vec<Pattern>,
    cases: Vec<Case>,
    /// What names a client in its lines. Where it is found with two clients, one of them is a client's own invention, and which one
    /// cannot be told: then neither is.
    doubt: Option<Expression>,
    /// Whether words that no pattern reads are guessed at: not where they are statements of clients.
    guesses: bool,
    /// What holds where nothing else is said.
    meaning: Meaning,
    pub(crate) fire: Vec<Example>,
    pub(crate) quiet: Vec<Example>,
}

impl std::fmt::Debug for Declared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.formats.iter().map(|format| format.name)).finish()
    }
}

/// All declared formats.
pub(crate) struct Declared {
    formats: Vec<Format>,
    by_program: HashMap<String, Vec<usize>>,
    gate: Gate,
}

impl Declared {
    fn of(mut formats: Vec<Format>) -> Self {
        formats.sort_by_key(|format| format.rank);
        let gate = Gate::of(&formats);
        let mut by_program: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, format) in formats.iter().enumerate() {
            for program in &format.programs {
                by_program.entry(program.to_ascii_lowercase()).or_default().push(at);
            }
        }
        Self { formats, by_program, gate }
    }

    /// Those of this program.
    pub(crate) fn builtin() -> Arc<Self> {
        Arc::clone(&BUILTIN)
    }

    /// Those of this program and of a folder; a name that is known already is replaced.
    pub(crate) fn with_folder(folder: &Path) -> Result<Arc<Self>, SettingsError> {
        let unreadable = |source| SettingsError::Unreadable { file: folder.to_owned(), source };
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .map_err(unreadable)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_format(path))
            .collect();
        paths.sort();
        let mut formats = Self::read_builtin();
        for path in paths {
            let document = Document::read(&path)?;
            let format = load::format(&document, true)?;
            let wrong = format.try_examples();
            if let Some(message) = wrong.into_iter().next() {
                let mistake = Mistake { line: 1, key: "example".into(), message };
                return Err(Mistakes { file: path, mistakes: vec![mistake] }.into());
            }
            formats.retain(|known| known.name != format.name);
            // An administrator knows this host better than this program does.
            formats.insert(0, Format { rank: 0, ..format });
        }
        Ok(Arc::new(Self::of(formats)))
    }

    fn read_builtin() -> Vec<Format> {
        let files = FILES.files().filter(|file| is_format(file.path()));
        let files = files.filter_map(|file| Some((file.path(), file.contents_utf8()?)));
        let read = |(path, text): (&Path, &str)| {
            load::format(&Document::from_text(path, text.to_owned()), false)
        };
        // A file of this program that is wrong is left out alone; a test reads all of them.
        files.map(read).filter_map(Result::ok).collect()
    }

    pub(crate) fn formats(&self) -> &[Format] {
        &self.formats
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Format> {
        self.formats.iter().find(|format| format.name == name)
    }

    /// A whole line of any format.
    pub(crate) fn line(&self, line: &str, context: &Context) -> Option<Parsed> {
        self.line_of(line, &Object::new(line), context)
    }

    /// The same of a line that may be a JSON object, which is read at most once.
    pub(crate) fn line_of(
        &self,
        line: &str,
        object: &Object<'_>,
        context: &Context,
    ) -> Option<Parsed> {
        let candidates = self.gate.candidates(line);
        let mut formats = self.formats.iter().zip(candidates).filter(|(_, open)| *open);
        formats.find_map(|(format, _)| format.read_line(line, object, context))
    }

    /// A message of a program, without its syslog header.
    pub(crate) fn message(
        &self,
        program: &str,
        pid: u32,
        message: &str,
        context: &Context,
    ) -> Option<Parsed> {
        let lower = program.to_ascii_lowercase();
        // `postfix/smtpd` is one of `postfix`; `dovecot: auth` of `dovecot`.
        let family = lower.split(['/', '(', ' ']).next().unwrap_or(&lower);
        // `mongod.27017` of `mongod`: an instance has its port behind the name.
        let instance = family.split('.').next().unwrap_or(family);
        let mut names = [lower.as_str(), family, instance].into_iter();
        let known = names.find_map(|name| self.by_program.get(name))?;
        let mut parsed = known.iter().find_map(|at| self.formats[*at].message(message, context))?;
        if let Body::Activity(activity) = &mut *parsed.body {
            if activity.service_name.is_empty() {
                activity.service_name = program.to_owned();
            }
            if activity.process_name.is_empty() {
                activity.process_name = program.to_owned();
            }
            if activity.process_pid == 0 {
                activity.process_pid = pid;
            }
        }
        Some(parsed)
    }

    /// Which examples do not hold, in sentences.
    #[cfg(test)]
    pub(crate) fn try_examples(&self) -> Vec<String> {
        self.formats.iter().flat_map(Format::try_examples).collect()
    }
}

/// A line without what devices put before its time: `<189>45: sw-1: *Nov 24 16:00:00.123: ` has a priority, a count, a name and a mark.
fn without_count(line: &str) -> &str {
    let mut rest = line;
    if let Some((_, inner)) = line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        rest = inner;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=10).contains(&digits) {
        rest = rest[digits..].strip_prefix(": ").unwrap_or(rest);
        // The device's name, where it is asked to tell it: `45: sw-1: Nov 24`.
        if let Some((name, behind)) = rest.split_once(": ") {
            let named = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            rest = if named { behind } else { rest };
        }
    }
    rest.strip_prefix(['*', '.']).unwrap_or(rest)
}

fn is_format(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "toml")
}

impl Format {
    /// Reads a whole line.
    pub(crate) fn line(&self, line: &str, context: &Context) -> Option<Parsed> {
        self.read_line(line, &Object::new(line), context)
    }

    fn read_line(&self, line: &str, object: &Object<'_>, context: &Context) -> Option<Parsed> {
        if let Some(found) = self.shaped(line, object, context) {
            return Some(found);
        }
        if let Some(found) = self.headed(line, context) {
            return Some(found);
        }
        let own = self.patterns.iter().filter(|pattern| pattern.line);
        let mut found =
            own.into_iter().find_map(|pattern| self.by_pattern(pattern, line, context))?;
        // What stands in the middle of a line has its time at the line's beginning.
        found.time =
            found.time.or_else(|| clock::any(without_count(line), context).map(|(time, _)| time));
        Some(found)
    }

    /// Reads a message of one of its programs.
    fn message(&self, message: &str, context: &Context) -> Option<Parsed> {
        if let Some(found) = self.shaped(message, &Object::new(message), context) {
            return Some(found);
        }
        // Its own head may stand behind syslog's.
        if let Some(found) = self.headed(message, context) {
            return Some(found);
        }
        self.patterns.iter().find_map(|pattern| self.by_pattern(pattern, message, context))
    }

    /// By the first head that begins the text.
    fn headed(&self, text: &str, context: &Context) -> Option<Parsed> {
        let (groups, rest) = self.heads.iter().find_map(|head| head.begins(text))?;
        let mut draft = Draft::default();
        self.understand(&mut draft, rest, &groups, context);
        Some(self.parsed(draft))
    }

    /// By the first shape that the text has.
    fn shaped(&self, text: &str, object: &Object<'_>, context: &Context) -> Option<Parsed> {
        let values = self.shapes.iter().find_map(|shape| shape.read(text, object))?;
        Some(self.parsed(self.structured(&values, context)))
    }

    fn by_pattern(&self, pattern: &Pattern, text: &str, context: &Context) -> Option<Parsed> {
        let groups = pattern.text.captures(text)?;
        let mut draft = Draft::default();
        draft.activity.message = text.to_owned();
        self.meaning.apply(&mut draft, context);
        pattern.meaning.apply(&mut draft, context);
        put_all(&mut draft, &groups, context);
        meaning::decide(&self.cases, &mut draft, &groups, context);
        Some(self.parsed(draft))
    }

    /// What follows a head: by the first pattern that reads it, else by a guess at its words.
    fn understand<'t>(
        &self,
        draft: &mut Draft,
        rest: &'t str,
        head: &[(&'static str, &'t str)],
        context: &Context,
    ) {
        rest.clone_into(&mut draft.activity.message);
        self.meaning.apply(draft, context);
        put_all(draft, head, context);
        let found = self
            .patterns
            .iter()
            .find_map(|pattern| pattern.text.captures(rest).map(|groups| (pattern, groups)));
        let Some((pattern, mut groups)) = found else {
            // What its patterns do not know may still speak of a client or a request.
            if let Some(guess) = self.guesses.then(|| generic::message(rest)).flatten() {
                draft.complete(guess);
            }
            meaning::decide(&self.cases, draft, head, context);
            return;
        };
        pattern.meaning.apply(draft, context);
        put_all(draft, &groups, context);
        // A head is the program's own word; what follows may repeat what a client says.
        let is_source = |name: &str| matches!(expression::plain(name), "src" | "src_port");
        for (name, value) in head.iter().filter(|(name, _)| is_source(name)) {
            expression::put(draft, name, value, context);
        }
        if self.doubt.as_ref().is_some_and(|doubt| doubt.differs(rest)) {
            draft.activity.src_ip.clear();
            draft.activity.src_port = 0;
            draft.activity.unmapped.insert("doubt".into(), "src_endpoint.ip".into());
        }
        groups.extend_from_slice(head);
        meaning::decide(&self.cases, draft, &groups, context);
    }

    /// Puts named values into their places; the others are kept beside them.
    fn structured(&self, values: &shape::Values, context: &Context) -> Draft {
        let mut draft = Draft::default();
        self.meaning.apply(&mut draft, context);
        let mapped = self.mapped(values);
        for (field, _, value) in &mapped {
            draft.put(field, value, context);
        }
        let pairs = values.pairs();
        let message = draft.activity.message.clone();
        let found = self
            .patterns
            .iter()
            .find_map(|pattern| pattern.text.captures(&message).map(|groups| (pattern, groups)));
        if let Some((pattern, groups)) = &found {
            pattern.meaning.apply(&mut draft, context);
            put_all(&mut draft, groups, context);
            // Whence it came stands in a value of its own; a message may repeat what a client says.
            for (field, _, value) in &mapped {
                if matches!(field, Field::Source | Field::SourcePort) {
                    draft.put(field, value, context);
                }
            }
        }
        let decided = meaning::decide(&self.cases, &mut draft, &pairs, context);
        // What neither a pattern nor a case knows may still tell in its words of a client or a refusal.
        if self.guesses
            && !decided
            && found.is_none()
            && draft.activity.class_uid == 0
            && !draft.has_request()
        {
            if let Some(guess) = generic::message(&names::telling(&pairs)) {
                draft.complete(guess);
            }
        }
        for (key, value) in pairs {
            let used = mapped.iter().any(|(_, used, _)| used.split('+').any(|used| used == key));
            if !used && !field::is_nothing(value) {
                draft.activity.unmapped.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        draft
    }

    /// The fields of its map that have a value: field, key, value.
    fn mapped<'v>(&'v self, values: &'v shape::Values) -> Vec<(&'v Field, &'v str, Cow<'v, str>)> {
        let read = |key: &'v str| match key.split_once('+') {
            // `date+time`: a value that stands in two.
            Some((first, second)) => {
                Some(Cow::Owned(format!("{} {}", values.get(first)?, values.get(second)?)))
            }
            None => values.get(key).map(Cow::Borrowed),
        };
        let find = |keys: &'v [String]| {
            let mut values = keys.iter().filter_map(|key| Some((key.as_str(), read(key)?)));
            values.find(|(_, value)| !field::is_nothing(value))
        };
        self.map
            .iter()
            .filter_map(|(field, keys)| find(keys).map(|(key, value)| (field, key, value)))
            .collect()
    }

    fn parsed(&self, mut draft: Draft) -> Parsed {
        draft.finish();
        Parsed {
            time: draft.time,
            body: Box::new(Body::Activity(draft.activity)),
            format: self.name.into(),
            device: draft.device,
        }
    }

    fn try_examples(&self) -> Vec<String> {
        let context = Context::here(vonggac_wire::Time::from_seconds(1_796_000_000));
        let read = |example: &Example| {
            if example.program.is_empty() {
                self.line(&example.line, &context)
            } else {
                self.message(&example.line, &context)
            }
        };
        let mut wrong = Vec::new();
        for example in &self.fire {
            let Some(parsed) = read(example) else {
                wrong.push(format!("{}: does not read {:?}", self.name, example.line));
                continue;
            };
            let Body::Activity(activity) = *parsed.body else { continue };
            if example.class.is_some_and(|wanted| wanted != activity.class()) {
                let found = activity.class().name();
                wrong.push(format!("{}: the class is {found}, of {:?}", self.name, example.line));
            }
            let draft =
                Draft { activity, time: parsed.time, device: parsed.device, ..Draft::default() };
            for (field, wanted) in &example.is {
                let found = draft.get(field);
                if found != *wanted {
                    wrong.push(format!(
                        "{}: {field:?} is {found:?}, wanted {wanted:?}, of {:?}",
                        self.name, example.line
                    ));
                }
            }
        }
        for example in &self.quiet {
            if read(example).is_some() {
                wrong.push(format!("{}: reads {:?}", self.name, example.line));
            }
        }
        wrong
    }
}

/// Puts the groups of an expression into their fields. `_words` are an application's, told through its server.
fn put_all(draft: &mut Draft, groups: &[(&str, &str)], context: &Context) {
    // A time behind which its zone stands needs to know it.
    if let Some((_, zone)) = groups.iter().find(|(name, _)| *name == "zone") {
        draft.put(&Field::Zone, zone, context);
    }
    for (name, value) in groups {
        expression::put(draft, name, value, context);
        if *name == "_words" {
            if let Some(guess) = generic::message(value) {
                draft.retell(guess);
            }
        }
    }
}

#[cfg(test)]
mod tests;
