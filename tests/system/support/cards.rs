//! Items as the programs of users write them.

/// A vCard.
pub(crate) fn card(uid: &str, name: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nEND:VCARD\r\n")
}

/// An appointment.
pub(crate) fn event(uid: &str, summary: &str) -> String {
    component("VEVENT", uid, summary, "DTSTART:20261120T100000Z\r\n")
}

/// A task.
pub(crate) fn todo(uid: &str, summary: &str) -> String {
    component("VTODO", uid, summary, "")
}

fn component(kind: &str, uid: &str, summary: &str, more: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:{kind}\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\n{more}SUMMARY:{summary}\r\nEND:{kind}\r\nEND:VCALENDAR\r\n"
    )
}
