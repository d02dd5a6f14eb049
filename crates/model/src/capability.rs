//! What a connector can do, each with a note where the answer needs one.

use serde::Serialize;

/// Whether one thing is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// Possible at all.
    pub supported: bool,
    /// A condition or a limit; empty where there is none.
    pub note: &'static str,
}

impl Capability {
    /// Possible without a condition.
    pub const YES: Self = Self { supported: true, note: "" };
    /// Not possible.
    pub const NO: Self = Self { supported: false, note: "" };

    /// Possible, under a condition.
    pub const fn with(note: &'static str) -> Self {
        Self { supported: true, note }
    }

    /// Not possible, for a reason worth knowing.
    pub const fn without(note: &'static str) -> Self {
        Self { supported: false, note }
    }
}

macro_rules! capabilities {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        /// Everything that a connector may be able to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub struct Capabilities { $($(#[$meta])* pub $name: Capability,)+ }

        impl Capabilities {
            /// Nothing: connectors name what they can with struct update syntax.
            pub const NONE: Self = Self { $($name: Capability::NO,)+ };

            /// Each capability with its name, in the order of the documentation.
            pub fn rows(&self) -> Vec<(&'static str, Capability)> {
                vec![$((stringify!($name), self.$name),)+]
            }

            /// The capability of this name.
            pub fn of_mut(&mut self, name: &str) -> Option<&mut Capability> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

capabilities! {
    /// Stream all facts.
    enumerate,
    /// Prove that an enumeration left nothing out.
    prove_completeness,
    /// Read one grant or account now.
    read_back,
    /// Give an entitlement to an account.
    grant,
    /// Take an entitlement from an account.
    revoke,
    /// Make an account.
    create_account,
    /// Stop an account's log-ins.
    disable_account,
    /// Let a disabled account log in again.
    enable_account,
    /// Remove an account.
    delete_account,
    /// List what authenticates an account.
    list_credentials,
    /// Make a credential for an account.
    issue_credential,
    /// Stop one credential, and bring it back.
    disable_credential,
    /// End one credential.
    revoke_credential,
    /// Have work that an account runs by itself run as another account.
    hand_over_credential,
    /// Replace one credential.
    rotate_credential,
    /// List live sessions.
    list_sessions,
    /// End live sessions.
    end_sessions,
    /// Say when an account was last used.
    last_use,
    /// Let the target itself end access at a time.
    native_expiry,
    /// Say that something changed without a full enumeration.
    watch,
}
