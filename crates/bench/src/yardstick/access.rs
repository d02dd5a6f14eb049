//! The sparse-row kernel for access questions: search one row, walk the roles.

use crate::data::{Data, NOW};

/// Whether the user holds the entitlement, and how many live reasons give it; pushes the reasons' numbers.
#[inline]
pub fn check(data: &Data, user: u32, entitlement: u32, because: &mut Vec<u32>) -> bool {
    because.clear();
    for &(role, end) in data.assignments.row(user) {
        if NOW < end && data.roles.row(role).binary_search(&entitlement).is_ok() {
            because.push(role);
        }
    }
    for &(reason, end) in data.explicit.row(user) {
        if NOW < end && reason == entitlement {
            because.push(u32::MAX);
        }
    }
    data.observed.row(user).binary_search(&entitlement).is_ok()
}

/// Every held entitlement of a user with the roles that give it, `u32::MAX` standing for an explicit reason.
#[inline]
pub fn list(data: &Data, user: u32, rows: &mut Vec<(u32, u32)>) -> usize {
    rows.clear();
    let held = data.observed.row(user);
    for &(role, end) in data.assignments.row(user) {
        if NOW < end {
            for entitlement in data.roles.row(role) {
                if held.binary_search(entitlement).is_ok() {
                    rows.push((*entitlement, role));
                }
            }
        }
    }
    for &(reason, end) in data.explicit.row(user) {
        if NOW < end && held.binary_search(&reason).is_ok() {
            rows.push((reason, u32::MAX));
        }
    }
    rows.sort_unstable();
    held.len()
}
