//! A group of Kafka learns that a member is dead only when its session is over, ten seconds later. A story of a thousand kills says it at once.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

/// How long Kafka may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer; ours have a dozen.
const ANSWER_BYTES_MAX: usize = 4096;

/// `LeaveGroup`, in the version that names one member.
const LEAVE_GROUP: (i16, i16) = (13, 1);

/// Kafka's word for a member that it no longer knows.
const UNKNOWN_MEMBER: i16 = 25;

/// The ids of a group's members.
///
/// # Errors
/// If Kafka does not answer.
pub fn members(kafka: &str, group: &str) -> anyhow::Result<Vec<String>> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", kafka).create()?;
    let groups = consumer.fetch_group_list(Some(group), ANSWER_WITHIN)?;
    let members = groups.groups().iter().flat_map(|group| group.members());
    Ok(members.map(|member| member.id().to_owned()).collect())
}

/// Says that a member is gone.
///
/// # Errors
/// If Kafka does not answer, or refuses.
pub fn leave(kafka: &str, group: &str, member: &str) -> anyhow::Result<()> {
    let mut request = Vec::new();
    request.extend(LEAVE_GROUP.0.to_be_bytes());
    request.extend(LEAVE_GROUP.1.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    for text in ["vonggac-tests", group, member] {
        request.extend(i16::try_from(text.len())?.to_be_bytes());
        request.extend(text.as_bytes());
    }
    let mut stream = TcpStream::connect(kafka)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&i32::try_from(request.len())?.to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length))?;
    ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    // Behind the request's number and the time for which Kafka would like to be left alone.
    let code = answer.get(8..10).context("a torn answer")?;
    match i16::from_be_bytes([code[0], code[1]]) {
        0 | UNKNOWN_MEMBER => Ok(()),
        code => bail!("Kafka does not let {member} leave {group}: {code}"),
    }
}
