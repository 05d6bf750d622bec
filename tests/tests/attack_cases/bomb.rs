//! A gibibyte of zeros in one record of some thirty kilobytes. librdkafka sends none so large, so it is written to Kafka byte by byte, as whoever
//! has an agent's certificate could.

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use vonggac_wire::{Time, topic};

use super::ground::Ground;

/// What the record expands to.
const EXPANDED_BYTES: usize = 1 << 30;

/// More than it takes on the wire: a bomb that is not small would be refused for its size.
const WIRE_BYTES_MAX: usize = 256 << 10;

/// Zeros are written through the encoder in portions.
const PORTION_BYTES: usize = 1 << 20;

/// Kafka's number for zstd in a batch's attributes.
const ZSTD: i16 = 4;

/// The call by which records are written, of the first version that takes zstd.
const PRODUCE: (i16, i16) = (0, 7);

/// A number as records have it: zigzag, seven bits a byte.
fn varint(into: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        into.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    into.push((left & 0x7f) as u8);
}

/// One record without a key, whose value is all zeros, compressed.
fn record() -> anyhow::Result<Vec<u8>> {
    let value = i64::try_from(EXPANDED_BYTES)?;
    // Attributes, time, offset, no key, the value's length.
    let mut head = vec![0, 0, 0];
    varint(&mut head, -1);
    varint(&mut head, value);
    let mut begin = Vec::new();
    // One more byte behind the value: there are no headers.
    varint(&mut begin, i64::try_from(head.len())? + value + 1);
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1)?;
    encoder.write_all(&[begin, head].concat())?;
    let portion = vec![0; PORTION_BYTES];
    for _ in 0..EXPANDED_BYTES / PORTION_BYTES {
        encoder.write_all(&portion)?;
    }
    encoder.write_all(&[0])?;
    Ok(encoder.finish()?)
}

/// A batch of that one record, in Kafka's second form.
fn batch() -> anyhow::Result<Vec<u8>> {
    let now = Time::now().0 / 1_000_000;
    let mut summed = Vec::new();
    summed.extend(ZSTD.to_be_bytes());
    // The last record's place, first and last time, no producer of its own, one record.
    summed.extend(0_i32.to_be_bytes());
    summed.extend(now.to_be_bytes());
    summed.extend(now.to_be_bytes());
    summed.extend((-1_i64).to_be_bytes());
    summed.extend((-1_i16).to_be_bytes());
    summed.extend((-1_i32).to_be_bytes());
    summed.extend(1_i32.to_be_bytes());
    summed.extend(record()?);
    let mut rest = Vec::new();
    rest.extend((-1_i32).to_be_bytes());
    rest.push(2);
    rest.extend(crc32c::crc32c(&summed).to_be_bytes());
    rest.extend(summed);
    let length = i32::try_from(rest.len())?.to_be_bytes();
    Ok([&0_i64.to_be_bytes()[..], &length, &rest].concat())
}

fn text(into: &mut Vec<u8>, text: &str) -> anyhow::Result<()> {
    into.extend(i16::try_from(text.len())?.to_be_bytes());
    into.extend(text.as_bytes());
    Ok(())
}

/// The call that writes it.
fn call(partition: i32) -> anyhow::Result<Vec<u8>> {
    let batch = batch()?;
    let mut call = Vec::new();
    call.extend(PRODUCE.0.to_be_bytes());
    call.extend(PRODUCE.1.to_be_bytes());
    call.extend(7_i32.to_be_bytes());
    text(&mut call, "forger")?;
    // No transaction, all replicas, half a minute, one topic, one partition.
    call.extend((-1_i16).to_be_bytes());
    call.extend((-1_i16).to_be_bytes());
    call.extend(30_000_i32.to_be_bytes());
    call.extend(1_i32.to_be_bytes());
    text(&mut call, topic::SECURITY)?;
    call.extend(1_i32.to_be_bytes());
    call.extend(partition.to_be_bytes());
    call.extend(i32::try_from(batch.len())?.to_be_bytes());
    call.extend(batch);
    Ok([&i32::try_from(call.len())?.to_be_bytes()[..], &call].concat())
}

fn passed_over(ground: &Ground) -> anyhow::Result<usize> {
    Ok(ground.sql("SELECT agent FROM gaps WHERE reason = 'unopened'")?.len())
}

/// Puts it there with an agent's certificate; it is passed over, and an incident tells of it.
pub(crate) fn is_passed_over(ground: &Ground, set: &str, partition: i32) -> anyhow::Result<()> {
    let call = call(partition)?;
    ensure!(call.len() < WIRE_BYTES_MAX, "it has {} bytes on the wire", call.len());
    let before = passed_over(ground)?;
    let shown = ground.shown(set);
    let authorities = ground.set("agent").join("authorities.pem").display().to_string();
    let mut options = vec!["-quiet", "-CAfile", &authorities];
    options.extend(shown.iter().map(String::as_str));
    let kafka = ground.machine.address("kafka").context("Kafka's address")?;
    let answer = ground.openssl(&kafka, &options, &call)?;
    // Its answer names the topic; nothing is answered to what Kafka cannot read.
    ensure!(answer.contains(topic::SECURITY), "Kafka answers {answer:.300}");
    ground.wait("the bomb to be passed over", || Ok(passed_over(ground)? > before))?;
    ground.wait("an incident", || {
        Ok(!ground.machine.rows(&["incidents", "--rule", "record-unopened"])?.is_empty())
    })
}

#[test]
fn a_bomb_is_small_on_the_wire_and_a_gibibyte_when_it_is_opened() -> anyhow::Result<()> {
    let small = record()?;
    ensure!(small.len() < WIRE_BYTES_MAX, "{} bytes", small.len());
    let mut opened = zstd::stream::Decoder::new(small.as_slice())?;
    let all = std::io::copy(&mut opened, &mut std::io::sink())?;
    ensure!(all > EXPANDED_BYTES as u64, "{all} bytes");
    Ok(())
}
