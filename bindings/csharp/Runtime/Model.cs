// Model.cs: a model file, read once and shared by any number of engines.
using System;

namespace Rtvoice
{
    /// <summary>
    /// A voice, read from a <c>.rtv</c> file. Immutable; any thread may use it. Engines keep what they need, so a model
    /// may be disposed while its engines run.
    /// </summary>
    public sealed class Model : IDisposable
    {
        internal readonly ModelHandle Handle;

        private Model(ModelHandle handle) { Handle = handle; }

        /// <summary>Reads and checks a file.</summary>
        /// <param name="path">Of a <c>.rtv</c> file.</param>
        /// <exception cref="RtvoiceException">The file cannot be read, or is no model that this library runs.</exception>
        public static Model Open(string path)
        {
            ModelHandle handle;
            RtvoiceException.Check(NativeMethods.rtv_model_open(Text.Bytes(path), out handle));
            return new Model(handle);
        }

        /// <summary>Reads a model from memory: a Unity TextAsset's bytes, a packed game archive. The bytes may be let go afterwards.</summary>
        /// <exception cref="RtvoiceException">It is no model that this library runs.</exception>
        public static Model Open(byte[] data)
        {
            if (data == null) throw new ArgumentNullException("data");
            ModelHandle handle;
            RtvoiceException.Check(NativeMethods.rtv_model_open_memory(data, new UIntPtr((uint)data.Length), out handle));
            return new Model(handle);
        }

        /// <summary>A JSON object: name, rate, latency, parameters, outputs, layers and costs.</summary>
        public string Info { get { return Text.Of(NativeMethods.rtv_model_info(Handle)); } }

        /// <summary>Gives the model back.</summary>
        public void Dispose() { Handle.Dispose(); }
    }

    /// <summary>The library that was loaded.</summary>
    public static class Library
    {
        /// <summary>major * 10000 + minor * 100 + patch.</summary>
        public static int Version { get { return (int)NativeMethods.rtv_version(); } }

        /// <summary>The instruction set in use: AVX3, AVX2, SSE4, NEON or SCALAR.</summary>
        public static string InstructionSet { get { return Text.Of(NativeMethods.rtv_isa()); } }
    }
}
