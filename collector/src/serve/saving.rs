//! Searches under a name: whose list has which, and what becomes of a change.

use tonic::Status;
use vonggac_wire::{
    Time,
    proto::{ChangeSavedSearchReply, ChangeSavedSearchRequest, SavedSearchesReply},
};

use super::{Service, status};
use crate::{saved, trust::door::Guest};

impl Service {
    pub(super) async fn listed(
        &self,
        guest: &Guest,
        agency: &str,
    ) -> Result<SavedSearchesReply, Status> {
        let mut searches = self.parts.store.saved_searches().await.map_err(status)?;
        searches.retain(|search| is_shown(guest, &search.owner, &search.agency));
        searches.retain(|search| {
            agency.is_empty() || search.agency.is_empty() || search.agency == agency
        });
        Ok(SavedSearchesReply { searches })
    }

    pub(super) async fn changed(
        &self,
        guest: &Guest,
        request: ChangeSavedSearchRequest,
    ) -> Result<ChangeSavedSearchReply, Status> {
        let caller = saved::Caller { name: guest.name.clone(), role: guest.role.allowance() };
        let change = request
            .change
            .ok_or_else(|| Status::invalid_argument("the request names no change"))?;
        let _one = self.saving.lock().await;
        let mut all = self.parts.store.saved_searches().await.map_err(status)?;
        // What somebody does not see cannot be meant, nor told of by a refusal.
        all.retain(|search| is_shown(guest, &search.owner, &search.agency));
        let is_agency =
            |code: &str| self.parts.registry.agency(code).is_some() && guest.scope.has_agency(code);
        let id = uuid::Uuid::new_v4().to_string();
        Ok(match saved::apply(&all, change, &caller, is_agency, id, Time::now().0) {
            Ok(written) => {
                self.parts.store.write_saved_search(&written).await.map_err(status)?;
                ChangeSavedSearchReply { refused: String::new(), search: Some(written.search) }
            }
            Err(refusal) => ChangeSavedSearchReply { refused: refusal.to_string(), search: None },
        })
    }
}

/// Whether a saved search is in somebody's list: whoever reaches the nation has all, others their own and those of their agencies.
fn is_shown(guest: &Guest, owner: &str, agency: &str) -> bool {
    guest.scope.is_nation() || owner == guest.name || guest.scope.has_agency(agency)
}
