// What a person reads. The block speaks of environment variables and of its host, since any engine may run it; here
// somebody filled in a form, and the host is Node-RED.

/** What a quotation holds is somebody else's: a name, a value, what a service said. */
const QUOTATIONS = /("[^"]*"|“[^”]*”)/;

const PHRASES = [
  [/, or have the host add one/g, ', or choose another Access'],
  [/\bset GOOGLE_OAUTH_ACCESS_TOKEN or GOOGLE_API_KEY, or give the host a credential to add/g, 'choose an Access'],
  [/\bset GOOGLE_OAUTH_ACCESS_TOKEN instead of GOOGLE_API_KEY, or give the host a credential to add/g, 'choose another Access'],
  [/ Unset where the host adds [^.]*\./g, ''],
  [/\bEngines that retry set 1\./g, 'The node wait for operation retries by itself, and makes one at a time.'],
  [/\bthe variable that the message names/g, 'the field that the message names'],
  // The service's host: it has a name, or a place.
  [/\b(t)he host(?='s name| that the message names| of | [\w-]+\.\w| localhost\b| \[)/gi, (_, t) => `${t}he server`],
  [/\b(the|this) host\b/gi, 'Node-RED'],
];

/** A text of the block or its manifest in the words of the form. */
function inFormWords(text, settings) {
  return text
    .split(QUOTATIONS)
    .map((part, at) => (at % 2 === 1 ? part : reworded(part, settings)))
    .join('');
}

function reworded(text, settings) {
  const phrased = PHRASES.reduce((said, [pattern, words]) => said.replace(pattern, words), text);
  return settings.reduce(
    (said, { variable, label }) =>
      // Not within a URL or a longer name.
      said.replace(new RegExp(`(\\bunset )?(?<![\\w/])${variable}(?![\\w/])`, 'g'), (_, unset) => `${unset ? 'clear ' : ''}${label}`),
    phrased,
  );
}

const STATUS_OF_REASON = {
  certificate: 'certificate error',
  'service-fault': 'service error',
  timeout: 'timed out',
};

/** What a node shows for a reason. */
function statusOf(reason) {
  return STATUS_OF_REASON[reason] ?? reason.replaceAll('-', ' ');
}

/** What a node shows for a setting that the block refuses. */
function statusOfSetting(message, settings) {
  const refused = settings.find(({ variable }) => message.startsWith(variable));
  return refused && `invalid ${refused.label.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase())}`;
}

module.exports = { inFormWords, statusOf, statusOfSetting };
