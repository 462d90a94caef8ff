// The block: the package `google-operations-get`, which the build copied here. It is an ES module.
module.exports = import('../block/src/index.js');
