/** The baseline for starting: a Node server that does nothing. Prints its URL. */
const { createServer } = require("node:http");

const server = createServer((_, response) => response.writeHead(204).end());
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
