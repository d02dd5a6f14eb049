//! What can go wrong between us and a target, each with what to do next.

/// A failure of a connector. None of these means that an object is absent (law 3).
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting of `[system.NAME]` is missing, unknown or malformed.
    #[error("setting `{key}` of system `{system}`: {message}")]
    Setting {
        /// The system.
        system: String,
        /// The key.
        key: String,
        /// What is wrong and how to mend it.
        message: String,
    },
    /// The target could not be reached.
    #[error("system `{system}`: cannot reach {address}: {message}")]
    Unreachable {
        /// The system.
        system: String,
        /// Host and port, or path.
        address: String,
        /// What happened and what to check.
        message: String,
    },
    /// The target's certificate was not accepted.
    #[error("system `{system}`: the certificate of {address} was not accepted: {message}")]
    Certificate {
        /// The system.
        system: String,
        /// Host and port.
        address: String,
        /// Why, and what to do.
        message: String,
    },
    /// The target refused our credential.
    #[error("system `{system}`: {address} refused the log-in as {login}: {message}")]
    Authentication {
        /// The system.
        system: String,
        /// Host and port.
        address: String,
        /// Whom we tried to be.
        login: String,
        /// What the target said and what to check.
        message: String,
    },
    /// The target answered with an error.
    #[error("system `{system}`: {operation} failed: {message}")]
    Target {
        /// The system.
        system: String,
        /// What was being done.
        operation: String,
        /// What the target said and what to do.
        message: String,
    },
    /// The target did not answer in time.
    #[error(
        "system `{system}`: {operation} got no answer within {timeout_ms} ms; check the target's load and network"
    )]
    Timeout {
        /// The system.
        system: String,
        /// What was being done.
        operation: String,
        /// How long we waited.
        timeout_ms: u64,
    },
    /// The target, or the connector before it, will not do this, however often it is asked.
    #[error("system `{system}`: {operation} was refused: {message}")]
    Refused {
        /// The system.
        system: String,
        /// What was to be done.
        operation: String,
        /// Why, and what a person can do.
        message: String,
    },
    /// No connector of this kind does this.
    #[error("this connector does not offer {operation}; it is done in the system itself")]
    NotOffered {
        /// What was to be done.
        operation: String,
    },
    /// The facts could not be kept.
    #[error("the facts could not be stored: {0}")]
    Sink(String),
}
