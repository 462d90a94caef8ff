// Makes what the package needs of the rest of the repository: the block with all that it runs on, and the editor's
// files from the manifest. `../node` is built first, which transpiles the component.
//
// The block is copied and not a dependency: `npm install` of a packed file finds everything then, wherever the package
// `google-operations-get` is published. A bundled dependency would carry native files of the machine that packed it.
const { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { inFormWords } = require('./lib/words.js');

const repository = join(__dirname, '../..');
const read = (...path) => readFileSync(join(...path), 'utf8');

function copyBlock() {
  const from = join(__dirname, '../node');
  const to = join(__dirname, 'block');
  if (!existsSync(join(from, 'dist'))) throw new Error(`${from} is not built: run npm ci and npm run build there first`);
  const block = JSON.parse(read(from, 'package.json'));
  const { dependencies } = JSON.parse(read(__dirname, 'package.json'));
  for (const [name, range] of Object.entries(block.dependencies)) {
    if (dependencies[name] !== range) throw new Error(`package.json has to depend on ${name} ${range}, as the block does`);
  }
  rmSync(to, { recursive: true, force: true });
  for (const path of ['package.json', ...block.files]) {
    // The types are for programs in TypeScript, and no part of what runs.
    cpSync(join(from, path), join(to, path), { recursive: true, filter: (file) => !file.endsWith('.d.ts') });
  }
}

/** The node's colour: the icon's own, half way to white, so that the editor's dark labels can be read on it. */
function tint(color) {
  const half = (hex) => Math.round((parseInt(hex, 16) + 255) / 2).toString(16).padStart(2, '0');
  return `#${color.slice(1).match(/../g).map(half).join('')}`;
}

/** Fills in `{{name}}`, and fails where a template asks for what is not there. */
function fill(template, values) {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name) => {
    if (!(name in values)) throw new Error(`nothing to fill in for {{${name}}}`);
    return values[name];
  });
}

const text = (value) => String(value).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
const sentence = (value) => (/[.!?]$/.test(value) ? value : `${value}.`);

const ICONS = {
  OPERATIONS_SERVICE: 'cloud',
  OPERATIONS_ENDPOINT: 'globe',
  GOOGLE_CLOUD_QUOTA_PROJECT: 'money',
  GOOGLE_CLOUD_UNIVERSE_DOMAIN: 'sitemap',
  OPERATIONS_TIMEOUT_MS: 'clock-o',
  OPERATIONS_MAX_ATTEMPTS: 'repeat',
  GOOGLE_OAUTH_ACCESS_TOKEN: 'key',
  GOOGLE_API_KEY: 'key',
};

function writeEditor() {
  const manifest = JSON.parse(read(repository, 'manifest.json'));
  const said = (value) => text(inFormWords(sentence(value), manifest.settings));
  const icon = read(repository, manifest.icon);
  const background = /<rect[^>]*fill="(#[0-9a-f]{6})"[^>]*\/>/.exec(icon);
  mkdirSync(join(__dirname, 'nodes/icons'), { recursive: true });
  writeFileSync(join(__dirname, 'nodes/icons/operation.svg'), icon.replace(background[0], ''));

  const [name] = manifest.inputs;
  const open = manifest.settings.filter(({ secret }) => !secret);
  const secrets = manifest.settings.filter(({ secret }) => secret);
  const { options: services } = open.find(({ type }) => type === 'service');
  const row = (setting, more) => {
    const { variable, label } = setting;
    return `
  <div class="form-row${more ? ' google-operations-access" data-access="' + variable : ''}">
    <label for="node-config-input-${variable}" style="width: 130px"><i class="fa fa-${ICONS[variable]}"></i> ${text(label)}</label>
    <input type="${more ? 'password' : 'text'}" id="node-config-input-${variable}" placeholder="${text(placeholder(setting))}" style="width: calc(100% - 140px)" autocomplete="off">
  </div>`;
  };
  const placeholder = ({ variable, type, default: standard }) => {
    if (standard !== null) return `${standard}${variable.endsWith('_MS') ? ' ms' : ''}`;
    return { service: 'Any (type to search)', url: "The service's own" }[type] ?? '';
  };
  const validation = ({ type, pattern, minimum, maximum }) => {
    if (type === 'integer') return `, validate: isInteger(${minimum}, ${maximum})`;
    if (type === 'url') return ', validate: matches(/^https?:\\/\\/./)';
    return pattern ? `, validate: matches(/${pattern.replaceAll('/', '\\/')}/)` : '';
  };

  const values = {
    category: manifest.category,
    color: tint(background[1]),
    getLabel: `${manifest.label.toLowerCase()} operation`,
    help: said(manifest.help),
    documentation: text(manifest.documentation),
    example: text(name.example),
    nameHelp: said(name.description),
    variables: manifest.outputs.map(({ variable }) => `<code>${text(variable)}</code>`).join(', '),
    reasons: manifest.errors
      .map(({ reason, case: kind, description, whatToDo }) =>
        `<dt>${reason}${kind === 'transient' ? ' <span class="property-type">retryable</span>' : ''}</dt>
    <dd>${said(description)} ${said(whatToDo)}</dd>`)
      .join('\n    '),
    settings: open.map((setting) => row(setting)).join(''),
    secrets: secrets.map((setting) => row(setting, true)).join(''),
    accessOptions: secrets.map(({ variable, label }) => `<option value="${variable}">${text(label)}</option>`).join('\n      '),
    settingsHelp: open
      .map(({ label, description }) =>
        `<dt class="optional">${text(label)}</dt>
    <dd>${said(description)}</dd>`)
      .join('\n    '),
    secretsHelp: secrets
      .map(({ label, description }) => `<li><b>${text(label)}</b>: ${said(description)}</li>`)
      .join('\n        '),
    defaults: open.map((setting) => `${setting.variable}: { value: ''${validation(setting)} },`).join('\n        '),
    credentials: secrets.map(({ variable }) => `${variable}: { type: 'password' },`).join('\n        '),
    services: JSON.stringify(services.map(({ value, label, versions }) => ({ value, label, versions }))),
  };
  for (const [part, file] of [['form', 'form'], ['inputsHelp', 'inputs'], ['outputsHelp', 'outputs'], ['detailsHelp', 'details'], ['errorsHelp', 'errors']]) {
    values[part] = fill(read(__dirname, 'editor', `${file}.html`), values).trim();
  }
  for (const node of ['connection', 'get-operation', 'wait-for-operation']) {
    writeFileSync(join(__dirname, 'nodes', `${node}.html`), fill(read(__dirname, 'editor', `${node}.html`), values));
  }
}

copyBlock();
writeEditor();
cpSync(join(repository, 'LICENSE'), join(__dirname, 'LICENSE'));
