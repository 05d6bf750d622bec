//! Who may see and do what, asked of a running machine by people with certificates of their own: every call of the console's service by every
//! role, the audit log as its readers see it, and a break-glass from its request to its end.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a story stops where its ground is missing"
)]

use system_tests::machine::Machine;

mod calls;
mod glass;
mod log;
mod people;

use people::People;

#[test]
fn everybody_sees_and_does_what_is_theirs_and_all_of_it_is_written_down() {
    let Some(machine) = Machine::trusted().expect("the machine starts") else { return };
    let people = People::of(&machine).expect("people with certificates");
    people::a_case(&machine, &people);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(calls::each_role_by_each_call_as_the_table_says(&people));
    glass::two_persons_open_an_agencys_rows_for_a_time(&machine, &people);
    log::refusals_are_told_in_the_persons_language_and_are_in_the_log(&machine, &people);
    runtime.block_on(log::its_pages_are_the_whole(&people));
    log::its_readers_find_what_was_done_and_whether_it_holds(&people);
}
