//! Break-glass: what is open, the next step of one, and exports under it.

use tonic::Status;
use vonggac_wire::{
    AgencyId, Time,
    proto::{
        BreakGlassReply, ChangeBreakGlassReply, ChangeBreakGlassRequest, ExportRequest,
        SearchRequest, change_break_glass_request::Change,
    },
};

use super::{
    Service, status, visit,
    visit::{Asked, Visit},
};
use crate::trust::{
    break_glass::{
        Record,
        decide::{self, decide},
        export,
    },
    door::Guest,
};

/// For the audit log.
pub(super) fn exported(request: &ExportRequest) -> Asked {
    let terms = request.search.as_ref().map(|search| visit::terms(&search.terms));
    let words = format!("agency={} {}", request.agency, terms.unwrap_or_default());
    Asked::about(&request.agency, words.trim_end())
}

/// For the audit log.
pub(super) fn changed(request: &ChangeBreakGlassRequest) -> Asked {
    match &request.change {
        Some(Change::Ask(ask)) => {
            let words =
                format!("ask agency={} what={} reason={:?}", ask.agency, ask.what, ask.reason);
            Asked::about(&ask.agency, words)
        }
        Some(Change::Confirm(id)) => format!("confirm {id}").into(),
        Some(Change::Refuse(id)) => format!("refuse {id}").into(),
        Some(Change::End(id)) => format!("end {id}").into(),
        None => String::new().into(),
    }
}

impl Service {
    /// Whether somebody may take an agency's rows away; the id under which they do stands in the audit log.
    pub(super) async fn may_export(
        &self,
        visit: &mut Visit,
        request: ExportRequest,
    ) -> Result<(String, SearchRequest), Status> {
        let agency = AgencyId::folded(&request.agency)
            .map_err(|error| Status::invalid_argument(format!("the agency {error}")))?
            .to_string();
        let settings = &self.parts.break_glass;
        if !export::needs_none(&visit.guest, &agency, settings) {
            let records = self.parts.store.break_glass().await.map_err(status)?;
            let now = Time::now();
            let open = export::may(&visit.guest, &agency, &records, settings, now)?;
            if let Some(id) = open {
                visit.under(&format!("under break-glass {id}"));
            }
        }
        Ok((agency, request.search.unwrap_or_default()))
    }

    /// What somebody may know of, newest first.
    pub(super) async fn glasses(
        &self,
        guest: &Guest,
        agency: &str,
    ) -> Result<BreakGlassReply, Status> {
        let records = self.parts.store.break_glass().await.map_err(status)?;
        let now = Time::now();
        let mut records: Vec<Record> = records
            .into_values()
            .filter(|record| decide::is_shown(record, guest))
            .filter(|record| agency.is_empty() || record.agency == agency)
            .collect();
        records.sort_by(|a, b| b.asked.1.cmp(&a.asked.1).then_with(|| a.id.cmp(&b.id)));
        let records = records.into_iter().map(|record| record.into_proto(now)).collect();
        Ok(BreakGlassReply { records })
    }

    /// The next step of one.
    pub(super) async fn change_glass(
        &self,
        visit: &mut Visit,
        request: ChangeBreakGlassRequest,
    ) -> Result<ChangeBreakGlassReply, Status> {
        let change = request
            .change
            .ok_or_else(|| Status::invalid_argument("the request names no change"))?;
        let _one = self.breaking.lock().await;
        let mut records = self.parts.store.break_glass().await.map_err(status)?;
        let is_agency = |code: &str| {
            self.parts.registry.agency(code).is_some()
                || self.parts.nation.now().agencies.iter().any(|agency| agency.code == code)
        };
        let (settings, now) = (&self.parts.break_glass, Time::now());
        let fresh = uuid::Uuid::new_v4().to_string();
        let decided = decide(&records, &change, &visit.guest, settings, is_agency, &fresh, now);
        let event = match decided {
            Ok(event) => event,
            Err(refusal) => {
                visit.under(&format!("refused: {refusal}"));
                return Ok(ChangeBreakGlassReply { refused: refusal.to_string(), record: None });
            }
        };
        self.parts.store.insert_break_glass(&event).await.map_err(status)?;
        visit.under(&format!("break-glass {}", event.id));
        let before = records.remove(&event.id);
        let record = Record::apply(before, &event).map(|record| record.into_proto(event.time));
        if let Some(record) = &record {
            visit.about(std::slice::from_ref(&record.agency));
        }
        Ok(ChangeBreakGlassReply { refused: String::new(), record })
    }
}
