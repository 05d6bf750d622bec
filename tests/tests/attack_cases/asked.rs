//! The questions: by whom, and how they have to be answered.

use tonic::Code;

use super::ground::{FOREIGN, OWN, SECRET};

/// A question.
pub(crate) enum Asks {
    Search(&'static [(&'static str, &'static str, bool)]),
    Sql(&'static str),
    Spread(&'static str, &'static str),
    Usage(&'static str),
    DeadLetters,
    Receipts(&'static str),
    Verify(&'static str),
    Watch(&'static str),
    Tail(&'static [(&'static str, &'static str, bool)]),
    SavedSearches,
    /// A search that is limited to an agency.
    Save(&'static str),
    /// The incident of the other agency.
    Incident,
    Acknowledge,
}

use Asks::{
    DeadLetters, Incident, Receipts, SavedSearches, Search, Spread, Sql, Usage, Verify, Watch,
};

/// A question that is tried.
pub(crate) struct Case {
    pub(crate) sentence: &'static str,
    pub(crate) who: &'static str,
    pub(crate) asks: Asks,
    /// By which code it is refused; `Ok`: answered without anything of others; `Unknown`: either.
    pub(crate) answered: Code,
}

const fn case(sentence: &'static str, who: &'static str, asks: Asks, answered: Code) -> Case {
    Case { sentence, who, asks, answered }
}

/// Not for the role.
pub(crate) const NO: Code = Code::PermissionDenied;
/// Not a question that may be asked.
pub(crate) const INVALID: Code = Code::InvalidArgument;

/// All of them.
pub(crate) const CASES: [Case; 66] = [
    case(
        "a search for another agency finds nothing",
        "lan",
        Search(&[("agency", FOREIGN, false)]),
        Code::Ok,
    ),
    case(
        "a search for all but one's own finds nothing",
        "lan",
        Search(&[("agency", OWN, true)]),
        Code::Ok,
    ),
    case(
        "a search for another's words finds nothing",
        "lan",
        Search(&[("text", SECRET, false)]),
        Code::Ok,
    ),
    case(
        "a search for parts of another's words finds nothing",
        "lan",
        Search(&[("text", "*ebr*", false)]),
        Code::Ok,
    ),
    case(
        "a search by an expression finds nothing of others",
        "lan",
        Search(&[("regex", "z.bra", false)]),
        Code::Ok,
    ),
    case(
        "a search for another's host finds nothing",
        "lan",
        Search(&[("host", "host-of-zebra", false)]),
        Code::Ok,
    ),
    case(
        "a search for another's user finds nothing",
        "lan",
        Search(&[("user", "user-of-zebra", false)]),
        Code::Ok,
    ),
    case(
        "a search for another's agent finds nothing",
        "lan",
        Search(&[("agent", "db-1", false)]),
        Code::Ok,
    ),
    case(
        "a search for a rule's events finds none of others",
        "lan",
        Search(&[("rule", "batch-refused", false)]),
        Code::Ok,
    ),
    case(
        "a search whose value ends the query finds nothing",
        "lan",
        Search(&[("host", "x' OR 1=1 --", false)]),
        Code::Ok,
    ),
    case(
        "a search whose field is a query is refused",
        "lan",
        Search(&[("1=1) OR (agency", FOREIGN, false)]),
        INVALID,
    ),
    case(
        "an observer of one agency finds nothing of others",
        "xem",
        Search(&[("text", SECRET, false)]),
        Code::Ok,
    ),
    case(
        "a responder finds nothing that is not in their cases",
        "ung",
        Search(&[("text", SECRET, false)]),
        Code::Ok,
    ),
    case("an auditor searches no lines", "kiem", Search(&[]), NO),
    case("who has no role searches nothing", "nobody", Search(&[]), NO),
    case("SQL of the whole table gives own rows", "lan", Sql("SELECT * FROM events"), Code::Ok),
    case("SQL that counts all counts own rows", "lan", Sql("SELECT count() FROM events"), Code::Ok),
    case(
        "SQL that counts every agency counts one's own",
        "lan",
        Sql("SELECT agency, count() FROM events GROUP BY agency"),
        Code::Ok,
    ),
    case(
        "SQL with OR 1 = 1 gives own rows",
        "lan",
        Sql("SELECT raw FROM events WHERE agency = 'x' OR 1 = 1"),
        Code::Ok,
    ),
    case(
        "SQL with a bracket that closes is refused",
        "lan",
        Sql("SELECT raw FROM events WHERE 1) OR (1"),
        INVALID,
    ),
    case(
        "SQL by a join with itself gives own rows",
        "lan",
        Sql("SELECT a.raw FROM events AS a INNER JOIN events AS b USING (class)"),
        Code::Unknown,
    ),
    case(
        "SQL by a subquery gives own rows",
        "lan",
        Sql("SELECT * FROM (SELECT raw, host FROM events)"),
        Code::Unknown,
    ),
    case(
        "SQL by a subquery behind IN gives own rows",
        "lan",
        Sql("SELECT raw FROM events WHERE host IN (SELECT host FROM events)"),
        Code::Unknown,
    ),
    case(
        "SQL by UNION gives own rows",
        "lan",
        Sql("SELECT raw FROM events UNION ALL SELECT raw FROM events"),
        Code::Unknown,
    ),
    case(
        "SQL by UNION with a book is refused",
        "lan",
        Sql("SELECT raw FROM events UNION ALL SELECT after FROM transitions"),
        INVALID,
    ),
    case(
        "SQL by a named query gives own rows",
        "lan",
        Sql("WITH a AS (SELECT * FROM events) SELECT raw FROM a"),
        Code::Unknown,
    ),
    case(
        "SQL by a named query that is called like the table is bounded",
        "lan",
        Sql("WITH events AS (SELECT * FROM vonggac.events) SELECT raw FROM events"),
        Code::Unknown,
    ),
    case(
        "SQL by the table function url is refused",
        "lan",
        Sql("SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')"),
        INVALID,
    ),
    case(
        "SQL by the table function file is refused",
        "lan",
        Sql("SELECT * FROM file('/etc/passwd', 'LineAsString')"),
        INVALID,
    ),
    case(
        "SQL by the table function remote is refused",
        "lan",
        Sql("SELECT * FROM remote('127.0.0.1', vonggac, events)"),
        INVALID,
    ),
    case(
        "SQL by the table function s3 is refused",
        "lan",
        Sql("SELECT * FROM s3('http://a/b', 'CSV')"),
        INVALID,
    ),
    case(
        "SQL by the table function cluster is refused",
        "lan",
        Sql("SELECT * FROM cluster('default', vonggac, events)"),
        INVALID,
    ),
    case(
        "SQL by the table function merge is refused",
        "lan",
        Sql("SELECT * FROM merge('vonggac', '.*')"),
        INVALID,
    ),
    case(
        "SQL by the table function executable is refused",
        "lan",
        Sql("SELECT * FROM executable('id', TSV, 'a String')"),
        INVALID,
    ),
    case(
        "SQL by the table function loop is refused",
        "lan",
        Sql("SELECT * FROM loop(vonggac.events) LIMIT 9"),
        INVALID,
    ),
    case("SQL of a dictionary is refused", "lan", Sql("SELECT dictGet('a', 'b', 1)"), INVALID),
    case(
        "SQL of a dictionary as a table is refused",
        "lan",
        Sql("SELECT * FROM dictionary('a')"),
        INVALID,
    ),
    case(
        "SQL of a file as a function is refused",
        "lan",
        Sql("SELECT file('/etc/passwd')"),
        INVALID,
    ),
    case(
        "SQL with a setting is refused",
        "lan",
        Sql("SELECT raw FROM events SETTINGS additional_table_filters = {}"),
        INVALID,
    ),
    case("SQL that sets something is refused", "lan", Sql("SET readonly = 0"), INVALID),
    case(
        "SQL of the engine's tables is refused",
        "lan",
        Sql("SELECT * FROM system.tables"),
        INVALID,
    ),
    case(
        "SQL of what the engine runs is refused",
        "lan",
        Sql("SELECT query FROM system.processes"),
        INVALID,
    ),
    case(
        "SQL of the information schema is refused",
        "lan",
        Sql("SELECT * FROM information_schema.columns"),
        INVALID,
    ),
    case(
        "SQL of the audit log is refused to an operator",
        "lan",
        Sql("SELECT words FROM audit"),
        INVALID,
    ),
    case(
        "SQL of the audit log is refused to an observer",
        "xem",
        Sql("SELECT words FROM audit"),
        INVALID,
    ),
    case(
        "SQL of the certificates that sealed gives none of others",
        "lan",
        Sql("SELECT * FROM certificates"),
        Code::Unknown,
    ),
    case(
        "SQL of dead letters gives none of others",
        "lan",
        Sql("SELECT agency, detail FROM dead_letters WHERE agency != ''"),
        Code::Unknown,
    ),
    case(
        "SQL of gaps gives none of others",
        "lan",
        Sql("SELECT agency, host FROM gaps"),
        Code::Unknown,
    ),
    case("SQL that writes is refused", "lan", Sql("INSERT INTO gaps SELECT * FROM gaps"), INVALID),
    case(
        "SQL that drops a table is refused to an operator",
        "lan",
        Sql("DROP TABLE events"),
        INVALID,
    ),
    case(
        "SQL of two statements is refused",
        "lan",
        Sql("SELECT 1; SELECT raw FROM events"),
        INVALID,
    ),
    case(
        "SQL that writes a file is refused",
        "lan",
        Sql("SELECT raw FROM events INTO OUTFILE '/tmp/x'"),
        INVALID,
    ),
    case("SQL is not for responders", "ung", Sql("SELECT 1"), NO),
    case(
        "a value is not held against other agencies",
        "lan",
        Spread("user", "user-of-zebra"),
        Code::Unknown,
    ),
    case("another agency's figures are not told", "lan", Usage(FOREIGN), Code::Unknown),
    case("dead letters of others are not told", "lan", DeadLetters, Code::Ok),
    case("receipts of another agency are not told", "lan", Receipts(FOREIGN), Code::Unknown),
    case(
        "another agency's rows are not verified for its neighbours",
        "lan",
        Verify(FOREIGN),
        Code::Unknown,
    ),
    case("the picture has nothing of others", "lan", Watch(""), Code::Ok),
    case("the picture of another agency is empty", "lan", Watch(FOREIGN), Code::Ok),
    case("a responder's picture has nothing of others", "ung", Watch(FOREIGN), Code::Ok),
    case("a foreign incident is not there", "lan", Incident, Code::NotFound),
    case("an observer acts on nothing", "xem", Asks::Acknowledge, NO),
    case("an auditor acts on nothing", "kiem", Asks::Acknowledge, NO),
    case("who has no role watches nothing", "nobody", Watch(""), NO),
    case("saved searches of others are not listed", "lan", SavedSearches, Code::Ok),
];
