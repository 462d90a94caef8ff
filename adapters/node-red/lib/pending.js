// The waits of a node, in its context: in a store that outlives Node-RED they go on after a restart.

const KEY = 'waits';

/** The first store of the settings that keeps what it holds over a restart; the default one is looked at first. */
function persistentStore(RED) {
  const stores = RED.settings.contextStorage ?? {};
  const names = Object.keys(stores).sort((a, b) => (b === 'default') - (a === 'default'));
  for (const name of names) {
    const store = typeof stores[name] === 'string' ? stores[stores[name]] : stores[name];
    if (store?.module !== undefined && store.module !== 'memory') {
      return typeof stores[name] === 'string' ? stores[name] : name;
    }
  }
  return undefined;
}

class Pending {
  #context;
  #store;
  #waits;
  /** One thing after the other: the last write has everything. */
  #last = Promise.resolve();

  constructor(context, store) {
    this.#context = context;
    this.#store = store;
  }

  /** The waits that the store holds, by id. */
  load() {
    return this.#next(() => ({ ...this.#waits }));
  }

  add(id, wait) {
    return this.#write(() => (this.#waits[id] = wait));
  }

  remove(id) {
    return this.#write(() => delete this.#waits[id]);
  }

  /** Comes back when everything is written. */
  async flush() {
    await this.#last.catch(() => {});
  }

  #write(change) {
    return this.#next(() => {
      change();
      return new Promise((resolve, reject) => {
        this.#context.set(KEY, { ...this.#waits }, this.#store, (error) => (error ? reject(error) : resolve()));
      });
    });
  }

  #next(action) {
    const step = async () => {
      this.#waits ??= await this.#read();
      return action();
    };
    this.#last = this.#last.then(step, step);
    return this.#last;
  }

  #read() {
    return new Promise((resolve, reject) => {
      this.#context.get(KEY, this.#store, (error, waits) => (error ? reject(error) : resolve({ ...waits })));
    });
  }
}

/** What of a message a store can keep: not the open request of an HTTP In node, nor anything else that is no JSON. */
function storable(msg) {
  const { req, res, ...rest } = msg;
  return JSON.parse(JSON.stringify(rest));
}

module.exports = { Pending, persistentStore, storable };
