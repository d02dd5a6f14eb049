//! Signing in: sessions of people, tokens of programs, and how either is shown.

pub(crate) mod device;
pub(crate) mod link;
pub(crate) mod one_time_code;
pub(crate) mod openid;
pub(crate) mod page;
pub(crate) mod passkey;
pub(crate) mod password;
pub(crate) mod recent_tokens;
pub(crate) mod scope;
pub(crate) mod second_factor;
pub(crate) mod session;
pub(crate) mod step_up;
pub(crate) mod throttle;
pub(crate) mod token;
