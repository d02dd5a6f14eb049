//! Connecting a system: a kind of connector is chosen, its form filled in, the target tried, and only then is it kept.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use leasehold_decide::authority::Action;
use leasehold_model::setting::{SettingField, SettingKind};
use leasehold_model::text::safe;
use serde::Deserialize;

use crate::connections::{ConnectorForm, NewSystem, NotConnected};
use crate::error::WebError;
use crate::fields::Fields;
use crate::flash::{FlashKind, redirect_with};
use crate::form::Complaints;
use crate::frame::{self, Frame};
use crate::parts::link::system_path;
use crate::person::Person;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] = &[
    Route::page(Method::GET, "/connect", Access::Needs(Action::ConnectSystem), || get(show)),
    Route::page(Method::POST, "/connect", Access::Needs(Action::ConnectSystem), || post(take)),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    connector: String,
}

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage {
    frame: Frame,
    kinds: Vec<(&'static str, &'static str)>,
    form: Option<Form>,
}

/// The form of one kind, with what was typed and what is wrong with it.
struct Form {
    kind: &'static str,
    summary: &'static str,
    name: String,
    name_wrong: String,
    inputs: Vec<Input>,
    correlate: String,
    correlate_wrong: String,
    further: String,
    further_wrong: String,
    /// Why the system was not connected, where no field is to blame.
    refusal: String,
    /// What belongs into the configuration, where it cannot be changed from here.
    table: String,
}

/// One setting in the form.
struct Input {
    key: &'static str,
    label: &'static str,
    help: String,
    required: bool,
    wrong: String,
    control: Control,
}

/// How a setting is typed.
enum Control {
    Line { kind: &'static str, value: String },
    Lines(String),
    Tick(bool),
    Choice(Vec<(&'static str, bool)>),
}

fn input(field: &SettingField, typed: &NewSystem, wrong: &Complaints) -> Input {
    let value = typed.values.get(field.key).map_or("", String::as_str);
    let control = match field.kind {
        SettingKind::Text | SettingKind::File => Control::Line { kind: "text", value: safe(value) },
        // A secret goes one way; it is typed again where the form is shown again.
        SettingKind::Secret => Control::Line { kind: "password", value: String::new() },
        SettingKind::List => Control::Lines(value.lines().map(safe).collect::<Vec<_>>().join("\n")),
        SettingKind::Flag => Control::Tick(!value.is_empty()),
        SettingKind::Choice(names) => {
            Control::Choice(names.iter().map(|name| (*name, *name == value)).collect())
        }
    };
    let example = match field.example {
        "" => String::new(),
        example => format!(" For example {example}"),
    };
    Input {
        key: field.key,
        label: field.label,
        help: format!("{}{example}", field.help).trim().to_owned(),
        required: field.required,
        wrong: wrong.of(field.key).to_owned(),
        control,
    }
}

fn form(kind: &ConnectorForm, typed: &NewSystem, wrong: &Complaints) -> Form {
    let lines = |text: &str| text.lines().map(safe).collect::<Vec<_>>().join("\n");
    Form {
        kind: kind.kind,
        summary: kind.summary,
        name: safe(&typed.name),
        name_wrong: wrong.of("name").to_owned(),
        inputs: kind.fields.iter().map(|field| input(field, typed, wrong)).collect(),
        correlate: lines(&typed.correlate),
        correlate_wrong: wrong.of("correlate").to_owned(),
        further: lines(&typed.further),
        further_wrong: wrong.of("further").to_owned(),
        refusal: wrong.of("").to_owned(),
        table: String::new(),
    }
}

fn page(app: &App, frame: Frame, form: Option<Form>) -> ConnectPage {
    let kinds = app.connections.kinds().iter().map(|kind| (kind.kind, kind.summary)).collect();
    ConnectPage { frame: frame.titled("Connect a system"), kinds, form }
}

fn kind_named(app: &App, name: &str) -> Result<ConnectorForm, WebError> {
    let found = app.connections.kinds().into_iter().find(|kind| kind.kind == name);
    found.ok_or_else(|| WebError::NotFound(format!("the kind of connector `{}`", safe(name))))
}

async fn show(
    State(app): State<App>,
    frame: Frame,
    Asked(question): Asked<Question>,
) -> Result<Response, WebError> {
    let empty = NewSystem { correlate: "login = email.local".to_owned(), ..NewSystem::default() };
    let form = match question.connector.as_str() {
        "" => None,
        name => Some(form(&kind_named(&app, name)?, &empty, &Complaints::default())),
    };
    frame::show(&page(&app, frame, form))
}

async fn take(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, WebError> {
    let kind = kind_named(&app, fields.get("connector"))?;
    let text = |name: &str| fields.get(name).replace("\r\n", "\n");
    let typed = NewSystem {
        name: text("name").trim().to_owned(),
        connector: kind.kind.to_owned(),
        values: kind.fields.iter().map(|field| (field.key.to_owned(), text(field.key))).collect(),
        correlate: text("correlate"),
        further: text("further"),
    };
    person.require_confirmed(app.now())?;
    let refused = match crate::api::connectors::connect(&app, &person, &typed).await {
        Ok(connected) => {
            let lacks = match connected.missing_rights.as_slice() {
                [] => String::new(),
                lacks => format!(". It lacks: {}", lacks.iter().map(safe).collect::<Vec<_>>().join("; ")),
            };
            let said = format!("Reached {}; it is being read now{lacks}", safe(&connected.target));
            return Ok(redirect_with(&app, &system_path(&connected.name), FlashKind::Done, &said));
        }
        Err(refused) => refused,
    };
    let mut wrong = Complaints::default();
    let mut table = String::new();
    match refused {
        NotConnected::Wrong(errors) => {
            for error in errors {
                // What is about a setting that has no field of its own was written into the further ones.
                let has_field = kind.fields.iter().any(|field| field.key == error.field)
                    || matches!(error.field.as_str(), "name" | "correlate" | "further");
                let message =
                    if has_field { error.message } else { format!("{}: {}", error.field, error.message) };
                wrong.add(if has_field { &error.field } else { "further" }, message);
            }
        }
        NotConnected::Unreachable(why) => wrong.add("", why),
        NotConnected::NotWritten { why, table: text } => {
            wrong.add("", why);
            table = text;
        }
    }
    let form = Form { table, ..form(&kind, &typed, &wrong) };
    frame::show_with(StatusCode::UNPROCESSABLE_ENTITY, &page(&app, frame, Some(form)))
}
