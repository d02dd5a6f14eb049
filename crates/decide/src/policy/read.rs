//! From files to a [`Policy`]: every mistake is reported with its place, not only the first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use leasehold_model::id::{EntitlementAddress, IdentityKey, SystemName};
use leasehold_model::identity::{IdentityKind, read_whole_day};
use toml::Spanned;

use super::diagnostic::Diagnostic;
use super::document::{AssignmentDocument, Document, ExceptionDocument, When};
use super::predicate::Predicate;
use super::{
    AccountAddress, DeclaredIdentity, Explicit, GuardSettings, Placed, Policy, Protected, Role, SodSet,
    digest,
};

/// Reads policy files (relative name to text).
///
/// # Errors
/// Every mistake that was found. The policy is usable only where there is none.
pub fn read(files: &BTreeMap<String, String>) -> Result<Policy, Vec<Diagnostic>> {
    let mut reader = Reader::default();
    for (file, text) in files {
        reader.file(file, text);
    }
    reader.cross_references();
    if reader.diagnostics.is_empty() {
        reader.policy.digest = digest(files);
        Ok(reader.policy)
    } else {
        Err(reader.diagnostics)
    }
}

#[derive(Default)]
pub(super) struct Reader {
    pub(super) policy: Policy,
    diagnostics: Vec<Diagnostic>,
    /// `kind.name` and the file that has it, so that a second one can be named with the first.
    pub(super) seen: BTreeMap<String, String>,
}

/// The file at hand.
pub(super) struct Place<'text> {
    pub(super) file: Arc<str>,
    text: &'text str,
}

impl Place<'_> {
    pub(super) fn placed<T>(&self, value: T, span: Range<usize>) -> Placed<T> {
        Placed { value, file: self.file.clone(), span }
    }
}

impl Reader {
    pub(super) fn error(
        &mut self,
        place: &Place<'_>,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::error(&place.file, span, message, help));
    }

    fn file(&mut self, file: &str, text: &str) {
        let place = Place { file: file.into(), text };
        let document = match toml::from_str::<Document>(text) {
            Ok(document) => document,
            Err(error) => {
                let span = error.span().unwrap_or(0..text.len().min(1));
                self.error(&place, span, error.message().trim().replace('\n', " "), "");
                return;
            }
        };
        self.roles(&place, document.role);
        for (name, entry) in document.assignment {
            self.explicit(&place, &name, entry, false);
        }
        for (name, entry) in document.exception {
            let ExceptionDocument { identity, grants, given, until, owner, why } = entry;
            let entry = AssignmentDocument { identity, role: None, grants, given, until, owner, why };
            self.explicit(&place, &name, entry, true);
        }
        for (name, entry) in document.sod {
            if !self.first_of_its_name(&place, "sod", &name) {
                continue;
            }
            if !["low", "medium", "high", "critical"].contains(&entry.severity.get_ref().as_str()) {
                let help = "write one of low, medium, high, critical";
                self.error(&place, entry.severity.span(), "not a severity", help);
            }
            if entry.conflict.len() < 2 || entry.conflict.iter().any(Vec::is_empty) {
                let help = "write for example `conflict = [[\"a:role/x\"], [\"a:role/y\"]]`";
                self.error(
                    &place,
                    name.span(),
                    "a conflict has at least two sides, none of them empty",
                    help,
                );
            }
            let sides = entry.conflict.iter().map(|side| self.addresses(&place, side)).collect();
            self.policy.sod.push(SodSet {
                name: name.into_inner(),
                severity: entry.severity.into_inner(),
                sides,
            });
        }
        for (name, entry) in document.owner {
            if !self.first_of_its_name(&place, "owner", &name) {
                continue;
            }
            let owner = place.placed(IdentityKey(entry.owner.get_ref().clone()), entry.owner.span());
            for address in self.addresses(&place, &entry.of) {
                self.policy.owners.push((address, owner.clone()));
            }
        }
        for (name, entry) in document.guard {
            if !self.first_of_its_name(&place, "guard", &name) {
                continue;
            }
            let Some(system) = self.system(&place, &name) else { continue };
            let shares = entry.share_max.iter().chain(&entry.leavers_share_max);
            for share in shares.filter(|share| !(0.0..=1.0).contains(share.get_ref())) {
                self.error(&place, share.span(), "a share lies between 0 and 1", "write 0.2 for 20 %");
            }
            let administrators = self.addresses(&place, &entry.administrators);
            let settings = GuardSettings {
                share_max: entry.share_max.map(Spanned::into_inner),
                count_min: entry.count_min,
                leavers_share_max: entry.leavers_share_max.map(Spanned::into_inner),
                leavers_count_min: entry.leavers_count_min,
                leavers_count_max: entry.leavers_count_max,
                administrators,
            };
            self.policy.guards.insert(system, settings);
        }
        for (name, entry) in document.protect {
            if self.first_of_its_name(&place, "protect", &name) {
                self.protected(&place, name.get_ref(), &entry.accounts, &entry.why, None);
            }
        }
        for (name, entry) in document.break_glass {
            if !self.first_of_its_name(&place, "break_glass", &name) {
                continue;
            }
            let Some(until) = self.when(&place, &entry.until) else { continue };
            let owner = self.identity(&place, "owner", &entry.owner);
            self.protected(
                &place,
                name.get_ref(),
                &entry.accounts,
                "break-glass account",
                Some((owner, until)),
            );
        }
        for (name, entry) in document.identity {
            if !self.first_of_its_name(&place, "identity", &name) {
                continue;
            }
            let kind = IdentityKind::parse(entry.kind.get_ref()).filter(|kind| *kind != IdentityKind::Person);
            let Some(kind) = kind else {
                let help = "write service, workload or agent; people come from an authoritative system";
                self.error(&place, entry.kind.span(), "not a kind of non-human", help);
                continue;
            };
            let accounts =
                entry.accounts.iter().filter_map(|account| self.account_of(&place, account)).collect();
            self.policy.identities.push(DeclaredIdentity {
                key: IdentityKey(name.into_inner()),
                kind,
                owner: place.placed(IdentityKey(entry.owner.get_ref().clone()), entry.owner.span()),
                accounts,
                attributes: entry.attributes,
            });
        }
        for (name, entry) in document.correlate {
            if !self.first_of_its_name(&place, "correlate", &name) {
                continue;
            }
            if let Some(account) = self.account_of(&place, &name) {
                let identity = self.identity(&place, "identity", &entry.identity);
                self.policy.correlations.insert(account, identity);
            }
        }
        self.retention(&place, document.retention);
        self.shared_secrets(&place, document.shared_secret);
        if let Some(succession) = document.succession {
            self.succession(&place, succession);
        }
        if let Some(limits) = document.limits {
            if let Some(first) = self.seen.insert("limits".to_owned(), file.to_owned()) {
                self.error(
                    &place,
                    0..0,
                    format!("limits are already set in {first}"),
                    "keep one `[limits]` table",
                );
            }
            self.policy.limits.dormant_after =
                limits.dormant_after.and_then(|text| self.duration(&place, &text));
            self.policy.limits.credential_age_max =
                limits.credential_age_max.and_then(|text| self.duration(&place, &text));
        }
    }

    fn roles(&mut self, place: &Place<'_>, roles: BTreeMap<Spanned<String>, super::document::RoleDocument>) {
        for (name, entry) in roles {
            if !self.first_of_its_name(place, "role", &name) {
                continue;
            }
            let members =
                entry.members.as_ref().and_then(|members| match Predicate::parse(members.get_ref()) {
                    Ok(predicate) => Some(place.placed(predicate, members.span())),
                    Err(error) => {
                        let span = locate(place.text, &members.span(), members.get_ref(), error.span);
                        self.error(place, span, error.message, error.help);
                        None
                    }
                });
            let grants = self.addresses(place, &entry.grants);
            let hand_over = entry.hand_over.as_ref().and_then(|text| self.hand_over(place, text));
            self.policy.roles.push(Role {
                hand_over,
                title: entry.title.unwrap_or_else(|| name.get_ref().clone()),
                name: name.into_inner(),
                task: entry.task,
                owner: place.placed(IdentityKey(entry.owner.get_ref().clone()), entry.owner.span()),
                members,
                grants,
            });
        }
    }

    fn explicit(
        &mut self,
        place: &Place<'_>,
        name: &Spanned<String>,
        entry: AssignmentDocument,
        exception: bool,
    ) {
        let kind = if exception { "exception" } else { "assignment" };
        if !self.first_of_its_name(place, kind, name) {
            return;
        }
        if !exception && entry.role.is_some() != entry.grants.is_empty() {
            let message = format!("assignment `{}` is unclear", name.get_ref());
            let help = "give `role = \"NAME\"` or `grants = [\"system:kind/name\"]`, one of the two";
            self.error(place, name.span(), message, help);
        }
        let key = |key: &Spanned<String>| place.placed(IdentityKey(key.get_ref().clone()), key.span());
        let grants = self.addresses(place, &entry.grants);
        let given = entry.given.as_ref().and_then(|when| self.begun(place, when));
        let Some(until) = self.when(place, &entry.until) else { return };
        self.policy.explicit.push(Explicit {
            name: name.get_ref().clone(),
            identity: key(&entry.identity),
            role: entry.role.as_ref().map(|role| place.placed(role.get_ref().clone(), role.span())),
            grants,
            given,
            until,
            owner: key(&entry.owner),
            why: entry.why,
            exception,
        });
    }

    fn protected(
        &mut self,
        place: &Place<'_>,
        name: &str,
        accounts: &[Spanned<String>],
        why: &str,
        break_glass: Option<(IdentityKey, Timestamp)>,
    ) {
        for text in accounts {
            if let Some(account) = self.account(place, text) {
                self.policy.protected.push(Protected {
                    name: name.to_owned(),
                    account: place.placed(account, text.span()),
                    why: why.to_owned(),
                    break_glass: break_glass.clone(),
                });
            }
        }
    }

    pub(super) fn first_of_its_name(
        &mut self,
        place: &Place<'_>,
        kind: &str,
        name: &Spanned<String>,
    ) -> bool {
        match self.seen.insert(format!("{kind}.{}", name.get_ref()), place.file.to_string()) {
            None => true,
            Some(first) => {
                let message = format!("{kind} `{}` is already written in {first}", name.get_ref());
                self.error(place, name.span(), message, "give one of the two another name, or remove it");
                false
            }
        }
    }

    fn addresses(&mut self, place: &Place<'_>, texts: &[Spanned<String>]) -> Vec<Placed<EntitlementAddress>> {
        let mut addresses = Vec::with_capacity(texts.len());
        for text in texts {
            match EntitlementAddress::from_str(text.get_ref()) {
                Ok(address) => addresses.push(place.placed(address, text.span())),
                Err(error) => self.error(place, text.span(), error.to_string(), ""),
            }
        }
        addresses
    }

    pub(super) fn account(&mut self, place: &Place<'_>, text: &Spanned<String>) -> Option<AccountAddress> {
        let parts = text.get_ref().split_once(':').filter(|(_, login)| !login.is_empty());
        let account = parts.and_then(|(system, login)| {
            SystemName::new(system).ok().map(|system| AccountAddress { system, login: login.to_owned() })
        });
        if account.is_none() {
            self.error(
                place,
                text.span(),
                "not an account",
                "write `system:login`, for example `directory:dana`",
            );
        }
        account
    }

    pub(super) fn system(&mut self, place: &Place<'_>, name: &Spanned<String>) -> Option<SystemName> {
        let system = SystemName::new(name.get_ref().as_str())
            .map_err(|error| self.error(place, name.span(), error.to_string(), ""))
            .ok()?;
        self.policy.named.systems.push(place.placed(system.clone(), name.span()));
        Some(system)
    }

    /// An account that is said to be somebody's.
    fn account_of(&mut self, place: &Place<'_>, text: &Spanned<String>) -> Option<AccountAddress> {
        let account = self.account(place, text)?;
        self.policy.named.accounts.push(place.placed(account.clone(), text.span()));
        Some(account)
    }

    fn identity(&mut self, place: &Place<'_>, what: &'static str, key: &Spanned<String>) -> IdentityKey {
        let identity = IdentityKey(key.get_ref().clone());
        self.policy.named.identities.push((what, place.placed(identity.clone(), key.span())));
        identity
    }

    fn when(&mut self, place: &Place<'_>, when: &Spanned<When>) -> Option<Timestamp> {
        let instant = parse_when(&when.get_ref().0);
        if instant.is_none() {
            let help = "write a date (2027-03-31: until the end of that day, UTC) or an instant with its offset (2027-03-31T18:00:00Z)";
            self.error(place, when.span(), format!("`{}` is not a date", when.get_ref().0), help);
        }
        instant
    }

    /// When something was done: a day is its first instant here.
    pub(super) fn begun(&mut self, place: &Place<'_>, when: &Spanned<When>) -> Option<Timestamp> {
        let text = &when.get_ref().0;
        let day = || read_whole_day(text)?.to_zoned(TimeZone::UTC).ok().map(|begins| begins.timestamp());
        let instant = text.parse().ok().or_else(day);
        if instant.is_none() {
            let help = "write the day (2027-03-31) or the instant with its offset (2027-03-31T18:00:00Z)";
            self.error(place, when.span(), format!("`{text}` is not a date"), help);
        }
        instant
    }

    pub(super) fn duration(&mut self, place: &Place<'_>, text: &Spanned<String>) -> Option<SignedDuration> {
        let duration = parse_duration(text.get_ref());
        if duration.is_none() {
            self.error(place, text.span(), "not a duration", "write for example 90d, 12h or 30m");
        }
        duration
    }

    /// What can be said only when all files are read.
    fn cross_references(&mut self) {
        let roles: Vec<String> = self.policy.roles.iter().map(|role| role.name.clone()).collect();
        for explicit in &self.policy.explicit {
            if let Some(role) = explicit.role.as_ref().filter(|role| !roles.contains(&role.value)) {
                let help =
                    format!("roles are {}", if roles.is_empty() { "none".into() } else { roles.join(", ") });
                let message = format!("there is no role `{}`", role.value);
                self.diagnostics.push(Diagnostic::error(&role.file, role.span.clone(), message, help));
            }
        }
    }
}

/// The end of an expression's mistake in the file. The expression's own offsets hold where the text stands there as
/// it is; where it is written with escapes, the whole value is pointed at.
fn locate(text: &str, value: &Range<usize>, expression: &str, inner: Option<Range<usize>>) -> Range<usize> {
    let raw = text.get(value.clone()).unwrap_or_default();
    match (raw.find(expression), inner) {
        (Some(start), Some(inner)) => {
            let base = value.start + start;
            base + inner.start.min(expression.len())..base + inner.end.min(expression.len())
        }
        _ => value.clone(),
    }
}

/// A date means the end of that day in UTC: access written as lasting "until the 31st" lasts through it. A time without its offset
/// means nothing, for nobody knows whose it is.
pub fn parse_when(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let date = read_whole_day(text)?;
    // The end of the last days that there are, with which people mean "no end", is the last instant that there is.
    let end = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
    Some(end.map_or(Timestamp::MAX, |end| end.timestamp()))
}

/// `90d`, `12h`, `30m`, `45s`, `2w`.
pub fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let seconds_each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let number: i64 = number.trim().parse().ok().filter(|number| *number > 0)?;
    Some(SignedDuration::from_secs(number.checked_mul(seconds_each)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_ends_with_its_day_and_the_last_one_with_time_itself() {
        for (text, expected) in [
            ("2026-03-31", Some("2026-04-01T00:00:00Z")),
            ("2026-03-31T18:00:00Z", Some("2026-03-31T18:00:00Z")),
            ("9999-12-31", Some("9999-12-30T22:00:00.999999999Z")),
            ("2026-03-31T18:00:00+02:00", Some("2026-03-31T16:00:00Z")),
            ("2026-03-31T18:00:00", None),
            ("2026-03-31 18:00", None),
            ("2026-02-30", None),
            ("soon", None),
        ] {
            assert_eq!(parse_when(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
    }
}
