//! The last batches of each agent on a partition: what comes twice, and what stands where another one stands, is seen. Pure.
//!
//! What is older than that is known by its numbers, and so changes nothing. The same is rebuilt after a restart from what was written down.

use std::collections::{HashMap, VecDeque};

use vonggac_wire::BatchHash;

use super::Refusal;
use crate::record::Record;

/// Batches of an agent on a partition that are remembered: more than are on their way at once.
pub const RECENT_MAX: usize = 16;

/// Agents of a partition that are remembered; one more makes the partition forget who was not heard for longest.
const AGENTS_MAX: usize = 50_000;

/// A batch in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its offset.
    pub offset: i64,
    /// The start of the agent that sealed it.
    pub boot: [u8; 16],
    /// Its hash.
    pub hash: BatchHash,
    /// The one before it.
    pub previous: Option<BatchHash>,
}

/// Agents by agency and name, as one text.
type Name = String;

/// The chains of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains {
    agents: HashMap<Name, VecDeque<Link>>,
}

fn name(agency: &str, agent: &str) -> Name {
    format!("{agency}/{agent}")
}

impl Chains {
    /// Takes a batch that was taken before, in the order of offsets.
    pub fn know(&mut self, agency: &str, agent: &str, link: Link) {
        let name = name(agency, agent);
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(&name) {
            let newest = |links: &VecDeque<Link>| links.back().map(|link| link.offset);
            let oldest = self.agents.iter().min_by_key(|(_, links)| newest(links));
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.map(|oldest| self.agents.remove(&oldest));
        }
        let links = self.agents.entry(name).or_default();
        if links.len() >= RECENT_MAX {
            links.pop_front();
        }
        links.push_back(link);
    }

    /// Judges a batch, and takes it if it is taken. `again`: it may have come before.
    ///
    /// # Errors
    /// If it is a replay or a fork.
    pub fn judge(&mut self, record: &Record, again: bool) -> Result<(), Refusal> {
        let (batch, origin) = (&record.batch, &record.origin);
        let link = Link {
            offset: origin.offset,
            boot: batch.boot,
            hash: record.hash,
            previous: batch.previous,
        };
        let (agency, agent) = (batch.agency.as_str(), batch.agent.as_str());
        let known = self.agents.get(&name(agency, agent));
        for other in known.into_iter().flatten().filter(|_| !again) {
            if other.hash == link.hash {
                let place = format!("{}/{}/{}", origin.topic, origin.partition, other.offset);
                return Err(Refusal::Replayed { place });
            }
            let same_place = link.previous.is_some() && other.previous == link.previous;
            if same_place && other.boot == link.boot {
                return Err(Refusal::Forked { offset: other.offset });
            }
        }
        self.know(agency, agent, link);
        Ok(())
    }
}
